"""Pages from templates: everything that is shown is escaped, and what acts instead of showing becomes visible."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment

from triage import NOT_FOR_CLINICAL_USE, __version__
from triage.gate.wording import WORDING
from triage.report.templating import templates_of
from triage.web.entrance import Site, known_session, person_of, site_of
from triage.web.sessions import COOKIE, LASTS_S, VISIT, Session, new_session


def page(request: Request, template: str, context: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
    """A page for who asks; its forms carry the session's token."""
    site, known = site_of(request), known_session(request)
    session = known or new_session()
    text = (
        _environment()
        .get_template(template)
        .render(person=person_of(request), token=site.seal.token(session), path=request.url.path, **context)
    )
    response = HTMLResponse(text, status_code=status)
    if known is None:
        give_session(response, site, session)
    return response


def give_session(response: Response, site: Site, session: Session) -> None:
    """Put a session into the visitor's browser, where no script and no other site can use it."""
    name = VISIT if session.account is None else COOKIE
    value = site.seal.cookie(session)
    response.set_cookie(name, value, max_age=LASTS_S, httponly=True, samesite="strict", secure=site.secure)


def waited(since: datetime) -> str:
    """How long ago, in the largest unit that says enough."""
    minutes = max(0, int((datetime.now(UTC) - since) / timedelta(minutes=1)))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"


def signal_title(signal: str) -> str:
    """A reason's title: that of its signal, or the rule's own name where it stands outside the score."""
    return WORDING[signal].title if signal in WORDING else signal.replace("_", " ").capitalize()


def signal_meaning(signal: str) -> str:
    """What a large value of a signal means; nothing for a rule outside the score, whose reason says it all."""
    return WORDING[signal].meaning if signal in WORDING else ""


@cache
def _environment() -> Environment:
    environment = templates_of("triage.web")
    environment.filters |= {"waited": waited, "signal_title": signal_title, "signal_meaning": signal_meaning}
    environment.globals |= {"notice": NOT_FOR_CLINICAL_USE, "version": __version__}
    return environment
