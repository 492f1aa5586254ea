"""The queue: what waits for this reviewer, most doubtful first."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from triage.review.records import Filters
from triage.verdict import Route
from triage.web.entrance import Somebody, TheSite
from triage.web.label_volume import PSEUDONYM
from triage.web.render import page

ROWS = 50
router = APIRouter()


@router.get("/", response_class=HTMLResponse)
def show_queue(
    request: Request,
    site: TheSite,
    person: Somebody,
    *,
    route: Annotated[str, Query(pattern=r"^[a-z_]{0,16}$")] = "",
    signal: Annotated[str, Query(pattern=r"^[a-z0-9_]{0,64}$")] = "",
    search: Annotated[str, Query(max_length=64)] = "",
    after: Annotated[int | None, Query(ge=0)] = None,
    read: Annotated[str, Query(pattern=f"^({PSEUDONYM.pattern})?$")] = "",
) -> HTMLResponse:
    """One page of the queue with its filters. read: the case whose verdict was just given."""
    filters = Filters(route=Route(route) if route in list(Route) else None, signal=signal or None, search=search)
    found = site.desk.page(filters, account=person.id, after=after, limit=ROWS)
    site.desk.view("queue", account=person.id)
    context = {"found": found, "filters": filters, "first": after is None, "read": read}
    return page(request, "queue.html", context)
