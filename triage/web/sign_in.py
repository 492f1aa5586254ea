"""Signing in and out, and the one-time link that gives an account its password."""

import re
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from triage.errors import TriageError
from triage.review.accounts import SHORTEST_PASSWORD, Person
from triage.web.entrance import Site, TheSite, own_form, person_of, site_of
from triage.web.label_volume import PSEUDONYM
from triage.web.render import give_session, page
from triage.web.sessions import COOKIE, new_session

router = APIRouter()
_OWN_PLACE = re.compile(rf"/|/cases/{PSEUDONYM.pattern}|/accounts")

Password = Annotated[str, Form(max_length=1000)]


class TooManyTries(TriageError):  # noqa: N818
    """One address tried to sign in too often."""


def unhurried(request: Request) -> None:
    """Refuses an address that tries too often."""
    wait_s = site_of(request).sign_ins.wait_s(request.client.host if request.client else "")
    if wait_s > 0:
        raise TooManyTries("Too many tries from this address.", do=f"Try again in {int(wait_s) + 1} s.")


@router.get("/sign-in", response_class=HTMLResponse)
def ask(request: Request, to: str = "/") -> HTMLResponse:
    """The way in."""
    return page(request, "sign_in.html", {"to": _own(to), "complaint": ""})


@router.post("/sign-in", dependencies=[Depends(unhurried), Depends(own_form)])
def sign_in(
    request: Request, site: TheSite, name: Annotated[str, Form(max_length=100)], password: Password, to: str = "/"
) -> Response:
    """Start a session of an account."""
    try:
        person = site.accounts.log_in(name.strip().lower(), password)
    except TriageError as error:
        return page(request, "sign_in.html", {"to": _own(to), "complaint": str(error)}, status=403)
    return _let_in(site, person, _own(to))


@router.post("/sign-out", dependencies=[Depends(own_form)])
def sign_out(request: Request, site: TheSite) -> Response:
    """End the account's sessions: a cookie that somebody copied, or left in another browser, is worth nothing then."""
    if (person := person_of(request)) is not None:
        site.accounts.log_out(person.id)
    response = RedirectResponse("/sign-in", status_code=303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/link/{link}", response_class=HTMLResponse)
def open_link(request: Request, link: str) -> HTMLResponse:
    """Ask the bearer of a one-time link for a password."""
    return _ask_for_password(request, link)


@router.post("/link/{link}", dependencies=[Depends(unhurried), Depends(own_form)])
def redeem(request: Request, site: TheSite, link: str, password: Password, again: Password) -> Response:
    """Use a link up: set the password and start a session."""
    if password != again:
        return _ask_for_password(request, link, complaint="The two passwords differ. Type the same one twice.")
    try:
        person = site.accounts.redeem(link, password)
    except TriageError as error:
        return _ask_for_password(request, link, complaint=str(error))
    return _let_in(site, person, "/")


def way_in(request: Request) -> Response:
    """To the sign-in, and back to where somebody wanted to go."""
    to = request.url.path
    return RedirectResponse(f"/sign-in?to={quote(to)}" if _own(to) != "/" else "/sign-in", status_code=303)


def _ask_for_password(request: Request, link: str, *, complaint: str = "") -> HTMLResponse:
    context = {"link": link, "shortest": SHORTEST_PASSWORD, "complaint": complaint}
    return page(request, "link.html", context, status=422 if complaint else 200)


def _let_in(site: Site, person: Person, to: str) -> Response:
    response = RedirectResponse(to, status_code=303)
    give_session(response, site, new_session(person.id, person.session_epoch))
    return response


def _own(to: str) -> str:
    """A page of this site, never another's."""
    return to if _OWN_PLACE.fullmatch(to) else "/"
