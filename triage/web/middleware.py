"""What holds for every answer and every request: headers that shut the browser's doors, and a limit on sizes."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
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
UPLOAD_BYTES = 64 << 20


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
    """Refuses a body that is too large, or does not say how large it is, before a byte of it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            limit = UPLOAD_BYTES if scope["path"].endswith("/corrections") else FORM_BYTES
            length = Headers(scope=scope).get("content-length", "")
            if not (length.isdecimal() and int(length) <= limit):
                answer = PlainTextResponse(f"The request is larger than {limit >> 10} kB.\n", status_code=413)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
