"""Commands on the trail of everything that was decided."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from pipelines.commands.options import AsJson, Config, Out, State, review_queue, reviewed


def verify(
    head: Annotated[
        list[str] | None, typer.Option(help="Digest that you noted down as the head, beside those that runs logged.")
    ] = None,
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Check that no row of the audit trail was edited, deleted or moved, nor what it speaks of."""
    from pipelines.console import show_audit
    from pipelines.logs import noted_heads
    from triage.review import open_queue

    settings = reviewed(out, state, config)
    heads = (*(head or ()), *noted_heads(settings.log))
    with closing(open_queue(settings.review_database)) as review:
        audit = review.verify_audit(heads)
    show_audit(audit, as_json=as_json)
    return 1 if audit.broken else 0


def audit_live(
    at: Annotated[datetime, typer.Option(help="Date, or date and time, in UTC.")],
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Say which model was live at a moment, and which one decided last before it."""
    from pipelines.console import show_live_at
    from triage.review import History

    moment = at.replace(tzinfo=UTC)
    with closing(review_queue(out, state, config)) as review:
        history = History(review.engine)
        show_live_at(moment, history.live_at(moment), history.last_decision(moment), as_json=as_json)
    return 0


def decided(
    bundle: Annotated[str, typer.Option(help="Digest of the bundle, or at least 8 characters of its beginning.")],
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """List every case that a bundle decided."""
    from pipelines.console import show_decided
    from triage.review import History

    with closing(review_queue(out, state, config)) as review:
        show_decided(History(review.engine).decided_by(bundle), as_json=as_json)
    return 0
