"""Who is asking: a session in a signed cookie, and the token without which none of its forms changes anything."""

import hmac
import secrets
from dataclasses import dataclass

from itsdangerous import BadSignature, Signer, URLSafeTimedSerializer

COOKIE = "brain_triage_session"
VISIT = "brain_triage_visit"
"""Cookie of who is not signed in. One of its own, so that a visit that comes from another site, to which the browser
lends no cookie, puts nobody out."""
LASTS_S = 10 * 3600
"""A working day; a session is not prolonged by using it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """id: random, another one after every sign-in. account, epoch: of `triage.review.accounts`, None before sign-in."""

    id: str
    account: int | None = None
    epoch: int | None = None


class Seal:
    """Makes and reads what only this installation can sign."""

    def __init__(self, key: bytes) -> None:
        self._sessions = URLSafeTimedSerializer(key, salt="session")
        self._forms = Signer(key, salt="form")

    def cookie(self, session: Session) -> str:
        """The session as the value of a cookie."""
        return str(self._sessions.dumps([session.id, session.account, session.epoch]))

    def session(self, cookie: str | None) -> Session | None:
        """The session in a cookie; None when the cookie is missing, forged or too old."""
        try:
            identity, account, epoch = self._sessions.loads(cookie or "", max_age=LASTS_S)
        except BadSignature:
            return None
        return Session(id=identity, account=account, epoch=epoch)

    def token(self, session: Session) -> str:
        """What every form of this session must send back."""
        return self._forms.get_signature(session.id).decode("ascii")

    def matches(self, session: Session, token: str) -> bool:
        """Whether a form was made for this session."""
        return hmac.compare_digest(self.token(session).encode(), token.encode("utf-8", "replace"))


def new_session(account: int | None = None, epoch: int | None = None) -> Session:
    """A session that nobody could guess."""
    return Session(id=secrets.token_urlsafe(24), account=account, epoch=epoch)
