"""Who has an item in hand: a lease that ends by itself, and what may be asked of whom."""

from sqlalchemy.orm import Session

from triage.review.accounts import get_account
from triage.review.errors import NotAllowed, Outdated, Taken
from triage.review.tables import Account, Lease, ReviewItem
from triage.review.words import Role, State


def active(session: Session, account_id: int) -> Account:
    """An account that is not closed. Raises NotAllowed."""
    account = get_account(session, account_id)
    if not account.active:
        raise NotAllowed("This account is closed.", do="Ask the owner.")
    return account


def open_item(session: Session, item_id: int, account_id: int) -> tuple[Account, ReviewItem, Lease | None]:
    """Who asks, what for, and who has it. Raises when it may not be asked, or waits no longer."""
    person = active(session, account_id)
    if not Role(person.role).may_decide:
        raise NotAllowed("Your account may look, not decide.", do="Ask the owner for the role of a reviewer.")
    item = session.get(ReviewItem, item_id)
    if item is None or item.state != State.OPEN.value:
        raise Outdated("This case was decided or renewed meanwhile.", do="Open it again from the queue.")
    return person, item, session.get(Lease, item_id)


def in_hand(session: Session, item_id: int, account_id: int) -> tuple[Lease, ReviewItem]:
    """The lease of this reviewer, also one past its end that nobody else took. Raises Taken."""
    _, item, lease = open_item(session, item_id, account_id)
    if lease is None or lease.account_id != account_id:
        raise Taken("You do not have this case in hand.", do="Claim it again; another reviewer may have it.")
    return lease, item
