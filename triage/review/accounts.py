"""Accounts of the review pages: local names with argon2 passwords, made by an owner and opened by one-time links."""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from triage.review import audit
from triage.review.database import now, transaction
from triage.review.errors import Incomplete, NotAllowed, NotFound, Taken
from triage.review.tables import Account, OneTimeLink
from triage.review.words import Role

SYSTEM = "system"
"""Who acts in the audit when no account does: the first start."""
LINK_LASTS = timedelta(hours=24)
FREE_FAILURES = 5
"""Wrong passwords in a row before an account waits; the wait doubles from a second up to `LONGEST_WAIT`."""
LONGEST_WAIT = timedelta(minutes=15)
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256

_NAME = re.compile(r"[a-z][a-z0-9._-]{1,31}")
_RESERVED = frozenset({SYSTEM, "pipeline"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An account without its secrets. session_epoch: a session of another epoch is over."""

    id: int
    name: str
    role: Role
    active: bool
    session_epoch: int
    has_password: bool


class Accounts:
    """The accounts in the review database. Every change, log-in and log-out is an audit row."""

    def __init__(
        self, engine: Engine, *, clock: Callable[[], datetime] = now, hasher: PasswordHasher | None = None
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_hex(16))  # checked for unknown names, which then take as long

    def first_link(self, name: str = "owner") -> str | None:
        """The token of a link for the first owner: on the first start, and until it was used. None afterwards."""
        with transaction(self._engine) as session:
            if session.scalar(select(Account.id).where(Account.password_hash.is_not(None)).limit(1)):
                return None
            owner = session.scalar(select(Account).where(Account.role == Role.OWNER.value))
            owner = owner or self._create(session, name, Role.OWNER, by=SYSTEM)
            return self._link(session, owner, by=SYSTEM)

    def invite(self, name: str, role: Role, *, by: int) -> str:
        """Make an account; gives the token of its one-time link. Raises Taken for a name that exists."""
        with transaction(self._engine) as session:
            owner = self._owner(session, by)
            if session.scalar(select(Account.id).where(Account.name == name)):
                raise Taken("There is an account of that name.", do="Choose another name.")
            return self._link(session, self._create(session, name, role, by=owner.name), by=owner.name)

    def reset(self, account_id: int, *, by: int) -> str:
        """A new one-time link for an account that lost its password; the old password stays until it is used."""
        with transaction(self._engine) as session:
            owner = self._owner(session, by)
            return self._link(session, get_account(session, account_id), by=owner.name)

    def change(self, account_id: int, *, role: Role, active: bool, by: int) -> None:
        """Give an account another role, close it or open it again; its sessions end. The last owner stays one."""
        with transaction(self._engine) as session:
            owner = self._owner(session, by)
            account = get_account(session, account_id)
            account.role, account.active = role.value, active
            account.session_epoch += 1
            session.flush()
            owners = select(Account.id).where(Account.role == Role.OWNER.value, Account.active)
            if session.scalar(owners.limit(1)) is None:
                raise NotAllowed("The last owner cannot be closed.", do="Make another account an owner first.")
            content = {"account": account.name, "role": role.value, "active": active}
            audit.append(session, at=self._clock(), actor=owner.name, event="account_changed", content=content)

    def redeem(self, token: str, password: str) -> Person:
        """Set the password of the account that a link belongs to; the link is used up and open sessions end."""
        _check_password(password)
        at = self._clock()
        with transaction(self._engine) as session:
            link = session.scalar(select(OneTimeLink).where(OneTimeLink.token_sha256 == _digest(token)))
            if link is None or link.used_at is not None or not at < link.expires_at:
                raise NotFound("This link was used, has expired or never was.", do="Ask the owner for a new one.")
            account = get_account(session, link.account_id)
            link.used_at = at
            account.password_hash = self._hasher.hash(password)
            account.session_epoch += 1
            account.failures, account.retry_after = 0, None
            audit.append(session, at=at, actor=account.name, event="password_set", content={})
            return _person(account)

    def log_in(self, name: str, password: str) -> Person:
        """Who this is. Raises NotAllowed for a wrong name or password, and while the account waits after failures."""
        at = self._clock()
        with transaction(self._engine, reads_only=True) as session:
            known = session.scalar(select(Account).where(Account.name == name))
            kept = known.password_hash if known and known.active else None
            waits = known.retry_after if known else None
        if waits is not None and at < waits:
            seconds = int((waits - at).total_seconds()) + 1
            raise NotAllowed("Too many wrong passwords.", do=f"Try again in {seconds} s.")
        right = self._verified(kept or self._nobody, password) and kept is not None
        with transaction(self._engine) as session:
            account = session.scalar(select(Account).where(Account.name == name))
            if account is not None:  # an unknown name is not recorded: people type passwords there
                _count_failure(account, at, failed=not right)
                event = "logged_in" if right else "log_in_failed"
                audit.append(session, at=at, actor=account.name, event=event, content={})
            if right and account is not None:
                return _person(account)
        raise NotAllowed("Name and password do not belong together.", do="Try again, or ask the owner for a new link.")

    def log_out(self, account_id: int) -> None:
        """End every session of an account, in whatever browser it is open."""
        with transaction(self._engine) as session:
            account = get_account(session, account_id)
            account.session_epoch += 1
            audit.append(session, at=self._clock(), actor=account.name, event="logged_out", content={})

    def person(self, account_id: int) -> Person | None:
        """The account of an id; None when there is none."""
        with transaction(self._engine, reads_only=True) as session:
            account = session.get(Account, account_id)
            return _person(account) if account else None

    def people(self) -> tuple[Person, ...]:
        """All accounts by name."""
        with transaction(self._engine, reads_only=True) as session:
            return tuple(_person(account) for account in session.scalars(select(Account).order_by(Account.name)))

    def _owner(self, session: Session, account_id: int) -> Account:
        account = get_account(session, account_id)
        if not (account.active and account.role == Role.OWNER.value):
            raise NotAllowed("Only an owner may change accounts.", do="Ask the owner.")
        return account

    def _create(self, session: Session, name: str, role: Role, *, by: str) -> Account:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise Incomplete(
                "This cannot be the name of an account.",
                do="Use 2 to 32 small letters, digits and . _ -, a letter first; not pipeline or system.",
            )
        at = self._clock()
        account = Account(name=name, role=role.value, active=True, session_epoch=0, failures=0, created_at=at)
        session.add(account)
        session.flush()
        audit.append(session, at=at, actor=by, event="account_made", content={"account": name, "role": role.value})
        return account

    def _link(self, session: Session, account: Account, *, by: str) -> str:
        """A new link; the older ones of the account are void."""
        at, token = self._clock(), secrets.token_urlsafe(32)
        old = (OneTimeLink.account_id == account.id, OneTimeLink.used_at.is_(None))
        session.execute(update(OneTimeLink).where(*old).values(used_at=at))
        session.add(OneTimeLink(account_id=account.id, token_sha256=_digest(token), expires_at=at + LINK_LASTS))
        audit.append(session, at=at, actor=by, event="link_made", content={"account": account.name})
        return token

    def _verified(self, kept: str, password: str) -> bool:
        try:
            return len(password) <= LONGEST_PASSWORD and self._hasher.verify(kept, password)
        except VerificationError:
            return False


def get_account(session: Session, account_id: int) -> Account:
    """The account of an id. Raises NotFound."""
    account = session.get(Account, account_id)
    if account is None:
        raise NotFound("There is no such account.", do="Log in again.")
    return account


def _check_password(password: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Incomplete(
            "The password is too short or too long.",
            do=f"Use {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; a few words do well.",
        )


def _count_failure(account: Account, at: datetime, *, failed: bool) -> None:
    account.failures = account.failures + 1 if failed else 0
    over = account.failures - FREE_FAILURES
    account.retry_after = at + min(LONGEST_WAIT, timedelta(seconds=2 ** min(over, 20))) if over >= 0 else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _person(account: Account) -> Person:
    return Person(
        id=account.id,
        name=account.name,
        role=Role(account.role),
        active=account.active,
        session_epoch=account.session_epoch,
        has_password=account.password_hash is not None,
    )
