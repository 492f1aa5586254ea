"""What puts a decision in front of a human: a case in doubt, or an accepted one that looks like it."""

import math
import random

from sqlalchemy import select
from sqlalchemy.orm import Session

from triage.review.tables import IS_OPEN, Decision, ReviewItem
from triage.review.words import Kind, State
from triage.verdict import Route, Verdict

BLIND_ACTION = "Second reader: check the segmentation."
"""What a case asks for that was accepted and drawn for blind review; many cases in doubt ask for the same."""


def was_read(session: Session, decision: Decision) -> bool:
    """Whether a human has given the verdict on what this decision last said."""
    latest = select(ReviewItem.state).where(ReviewItem.decision_id == decision.id).order_by(ReviewItem.id.desc())
    return session.scalar(latest.limit(1)) == State.DECIDED.value


def doubt_item(decision: Decision, verdict: Verdict) -> ReviewItem:
    """A case in doubt, under the title of its first reason."""
    first = verdict.reasons[0]
    titles = {signal.name: signal.title for signal in verdict.signals}
    return ReviewItem(
        decision=decision,
        pseudonym=decision.pseudonym,
        kind=Kind.DOUBT.value,
        doubt=verdict.doubt,
        route=verdict.route.value,
        signal=first.signal,
        reason=titles.get(first.signal, first.text),
        state=State.OPEN.value,
    )


def blind_item(session: Session, decision: Decision, verdict: Verdict) -> ReviewItem:
    """An accepted case that looks like one in doubt: under its largest signal, with a doubt that nothing gives away.

    That doubt lies between the limit and the doubt of a case that waits, both drawn by the pseudonym.
    """
    waiting = select(ReviewItem.doubt).where(
        IS_OPEN, ReviewItem.route == Route.HUMAN_REVIEW.value, ReviewItem.doubt < math.inf
    )
    doubts = session.scalars(waiting.order_by(ReviewItem.id)).all() or (2 * verdict.limit,)
    draw = random.Random(decision.pseudonym)  # noqa: S311  repeats for a case, guards no secret
    doubt = verdict.limit + draw.random() * (draw.choice(doubts) - verdict.limit)
    largest = max(verdict.signals, key=lambda signal: signal.part)
    return ReviewItem(
        decision=decision,
        pseudonym=decision.pseudonym,
        kind=Kind.BLIND.value,
        doubt=doubt,
        route=Route.HUMAN_REVIEW.value,
        signal=largest.name,
        reason=largest.title,
        state=State.OPEN.value,
    )
