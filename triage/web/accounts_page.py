"""The accounts, for owners: who may do what, invitations, and how far readers agree."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from triage.review.words import Role
from triage.web.entrance import AnOwner, Site, TheSite, own_form
from triage.web.render import page

router = APIRouter(prefix="/accounts")
ROLE_WORDS = {
    Role.OPERATOR: "operator: looks",
    Role.REVIEWER: "reviewer: looks and decides",
    Role.OWNER: "owner: does both, and runs accounts and models",
}


@router.get("", response_class=HTMLResponse)
def show_accounts(request: Request, site: TheSite, by: AnOwner) -> HTMLResponse:
    """Everybody with an account."""
    site.desk.view("accounts", account=by.id)
    return _shown(request, site)


@router.post("", response_class=HTMLResponse, dependencies=[Depends(own_form)])
def invite(
    request: Request,
    site: TheSite,
    by: AnOwner,
    name: Annotated[str, Form(max_length=100)],
    role: Annotated[Role, Form()],
) -> HTMLResponse:
    """Make an account; its one-time link is shown this once."""
    name = name.strip().lower()
    return _shown(request, site, link=site.accounts.invite(name, role, by=by.id), invited=name)


@router.post("/{account}/link", response_class=HTMLResponse, dependencies=[Depends(own_form)])
def new_link(request: Request, site: TheSite, by: AnOwner, account: int) -> HTMLResponse:
    """A new one-time link for somebody who lost a password."""
    link = site.accounts.reset(account, by=by.id)
    (name,) = (person.name for person in site.accounts.people() if person.id == account)
    return _shown(request, site, link=link, invited=name)


@router.post("/{account}", dependencies=[Depends(own_form)])
def change(
    site: TheSite,
    by: AnOwner,
    account: int,
    role: Annotated[Role, Form()],
    active: Annotated[bool, Form()] = False,
) -> Response:
    """Another role, or no access any more."""
    site.accounts.change(account, role=role, active=active, by=by.id)
    return RedirectResponse("/accounts", status_code=303)


def _shown(request: Request, site: Site, *, link: str = "", invited: str = "") -> HTMLResponse:
    kappa, pairs = site.desk.kappa()
    address = f"{request.url.scheme}://{request.url.netloc}/link/{link}" if link else ""
    context = {"people": site.accounts.people(), "roles": ROLE_WORDS, "link": address, "invited": invited}
    return page(request, "accounts.html", {**context, "kappa": kappa, "pairs": pairs})
