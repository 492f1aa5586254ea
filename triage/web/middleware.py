"""What holds for every answer and every request: headers that shut the browser's doors, and a limit on sizes."""

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the viewer holds its letters in a data address
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Robots-Tag": "noindex",
}
FORM_BYTES = 64 << 10
UPLOAD_BYTES = (128 << 20) + FORM_BYTES
"""A volume of 256 x 256 x 256 voxels as editors save it at worst, float64 and uncompressed, and what its form adds."""


class ClosedDoors:
    """Adds the headers. Nothing is kept by a browser or a proxy; the program's own files are, and asked for again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kept = scope["path"].startswith("/static/")

        async def send_closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers["Cache-Control"] = "no-cache" if kept else "no-store"
            await send(message)

        await self._app(scope, receive, send_closed)


class SizeLimit:
    """Refuses a body that is too large, or does not say how large it is, before a byte of it is read.

    refuse: makes the answer from the request and the limit in bytes.
    """

    def __init__(self, app: ASGIApp, refuse: Callable[[Request, int], Response]) -> None:
        self._app = app
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            limit = UPLOAD_BYTES if scope["path"].endswith("/corrections") else FORM_BYTES
            length = Headers(scope=scope).get("content-length", "")
            if not (length.isdecimal() and int(length) <= limit):
                answer = await run_in_threadpool(self._refuse, Request(scope), limit)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
