"""What the pages are made from, and whom they let in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi import Path as InPath

from triage.review.accounts import Accounts, Person
from triage.review.desk import ReviewDesk
from triage.review.errors import NotAllowed, NotFound
from triage.review.words import Role
from triage.web.label_volume import PSEUDONYM
from triage.web.sessions import COOKIE, VISIT, Seal, Session
from triage.web.throttle import Throttle
from triage.web.usual import UsualVolumes


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The collaborators of the pages. out: folder of the case folders. secure: cookies go over TLS alone.

    complain: takes what went wrong on our side, for the log. sign_ins: tries of an address. checking: held by the one
    upload that is being unpacked. pictures: views of a case's pictures by an account, as far as the audit tells them
    apart.
    """

    desk: ReviewDesk
    accounts: Accounts
    out: Path
    seal: Seal
    secure: bool
    usual: UsualVolumes
    complain: Callable[[Exception], None]
    sign_ins: Throttle = field(default_factory=lambda: Throttle(tries=10, within_s=60))
    checking: Lock = field(default_factory=Lock)
    pictures: Throttle = field(default_factory=lambda: Throttle(tries=1, within_s=60))


class SignInNeeded(Exception):  # noqa: N818  not an error: the visitor is shown the way in
    """Nobody is signed in, or the session is over."""


def site_of(request: Request) -> Site:
    """The site that this request came to."""
    site: Site = request.app.state.site
    return site


def known_session(request: Request) -> Session | None:
    """The session that this request brings along."""
    seal, cookies = site_of(request).seal, request.cookies
    return seal.session(cookies.get(COOKIE)) or seal.session(cookies.get(VISIT))


def person_of(request: Request) -> Person | None:
    """Who is signed in; looked up every time, so that a closed account is out at once."""
    session = known_session(request)
    if session is None or session.account is None:
        return None
    person = site_of(request).accounts.person(session.account)
    return person if person and person.active and person.session_epoch == session.epoch else None


def signed_in(request: Request) -> Person:
    """Lets in everybody with an account."""
    person = person_of(request)
    if person is None:
        raise SignInNeeded
    return person


def owner(person: Annotated[Person, Depends(signed_in)]) -> Person:
    """Lets in owners."""
    if person.role is not Role.OWNER:
        raise NotAllowed("Only an owner may do this.", do="Ask the owner.")
    return person


def own_form(request: Request, token: Annotated[str, Form(max_length=200)] = "") -> None:
    """Refuses a form that this session's own pages did not make."""
    session = known_session(request)
    if session is None or not site_of(request).seal.matches(session, token):
        raise NotAllowed("This form is too old, or was not made by this site.", do="Load the page again.")


Pseudonym = Annotated[str, InPath(pattern=f"^{PSEUDONYM.pattern}$")]


def case_folder(request: Request, pseudonym: Pseudonym) -> Path:
    """Where the files of a case lie, whether it exists or not. Only a whole pseudonym becomes part of a path."""
    if not PSEUDONYM.fullmatch(pseudonym):  # "$" of the pattern above would let a line end pass
        raise NotFound("There is no such case.", do="Go back to the queue.")
    return site_of(request).out / pseudonym


TheSite = Annotated[Site, Depends(site_of)]
Somebody = Annotated[Person, Depends(signed_in)]
AnOwner = Annotated[Person, Depends(owner)]
CaseFolder = Annotated[Path, Depends(case_folder)]
