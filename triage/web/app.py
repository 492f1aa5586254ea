"""The review pages as one application: routes, what holds for all of them, and what is shown when something fails."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from triage.errors import TriageError
from triage.review.errors import Incomplete, NotAllowed, NotFound, Outdated, Taken
from triage.web import accounts_page, case_files, case_page, queue_page, sign_in, verdicts
from triage.web.entrance import SignInNeeded, Site, site_of
from triage.web.middleware import UPLOAD_BYTES, ClosedDoors, SizeLimit
from triage.web.render import page
from triage.web.sign_in import TooManyTries, way_in

PARTS = (sign_in, queue_page, case_page, case_files, verdicts, accounts_page)
STATUS: dict[type[TriageError], int] = {
    NotAllowed: 403,
    NotFound: 404,
    Taken: 409,
    Outdated: 409,
    Incomplete: 422,
    TooManyTries: 429,
}
NOT_THERE = TriageError("There is no such page.", do="Go back to the queue.")
NOT_UNDERSTOOD = TriageError("The request was not understood.", do="Load the page again, then try once more.")
BROKEN = TriageError("Something went wrong on our side.", do="Try again; the log says more.")


def create_app(site: Site) -> FastAPI:
    """The application. It shows nothing but the sign-in to whom it does not know."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.site = site
    for part in PARTS:
        app.include_router(part.router)
    app.mount("/static", StaticFiles(packages=[("triage.web", "static")]))
    app.add_middleware(SizeLimit, refuse=_too_large)
    app.add_middleware(ClosedDoors)
    app.add_exception_handler(SignInNeeded, _sign_in)
    app.add_exception_handler(TriageError, _refused)
    app.add_exception_handler(HTTPException, _not_there)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(Exception, _broken)
    return app


def _too_large(request: Request, limit: int) -> Response:
    if limit == UPLOAD_BYTES:
        error = TriageError(
            f"The file is larger than {limit >> 20} MB.",
            do="Save the labels as .nii.gz, as whole numbers of 8 bits, then upload that file.",
        )
    else:
        error = TriageError(f"The form holds more than {limit >> 10} kB.", do="Shorten what you typed.")
    return _failed(request, error, 413)


def _sign_in(request: Request, _: Exception) -> Response:
    if _wants_json(request):
        return _failed(request, NotAllowed("Nobody is signed in.", do="Sign in again in another tab."), 401)
    return way_in(request)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, TriageError)
    return _failed(request, error, STATUS.get(type(error), 500))


def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _failed(request, NOT_THERE if error.status_code == 404 else NOT_UNDERSTOOD, error.status_code)


def _not_understood(request: Request, _: Exception) -> Response:
    return _failed(request, NOT_UNDERSTOOD, 404 if request.method == "GET" else 422)


def _broken(request: Request, error: Exception) -> Response:
    site_of(request).complain(error)
    return _failed(request, BROKEN, 500)


def _failed(request: Request, error: TriageError, status: int) -> Response:
    """What, and what to do; nothing that was sent is sent back."""
    if _wants_json(request):
        return JSONResponse({"message": error.message, "do": error.do}, status_code=status)
    return page(request, "error.html", {"message": error.message, "do": error.do}, status=status)


def _wants_json(request: Request) -> bool:
    return request.headers.get("accept", "").startswith("application/json")
