"""The review pages of one installation: what they are made from, where they may listen, and the server."""

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from pipelines.inbox import where
from pipelines.logs import open_log
from pipelines.settings import Settings
from triage.dicom.deid import load_or_create_key
from triage.errors import TriageError
from triage.review import Accounts, ReviewDesk, connect
from triage.web.app import create_app
from triage.web.entrance import Site
from triage.web.sessions import Seal
from triage.web.usual import UsualVolumes

CORRECTIONS = "corrections"
SESSION_KEY = "session.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where the pages listen. Beyond this machine only over TLS, unless insecure: passwords would be readable."""

    host: str = "127.0.0.1"
    port: int = 8765
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise TriageError("TLS needs a certificate and its key.", do="Give both --tls-cert and --tls-key.")
        if not (self.tls or self.insecure or is_loopback(self.host)):
            raise TriageError(
                f"{self.host} can be reached from other machines, and without TLS passwords could be read on the way.",
                do="Give --tls-cert and --tls-key, or listen on 127.0.0.1; --insecure overrules this.",
            )

    @property
    def tls(self) -> bool:
        """Whether what is sent cannot be read on the way."""
        return self.tls_cert is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(settings: Settings, binding: Binding, *, double: bool, say: Callable[[str], None]) -> None:
    """Serve the review pages until interrupted; on the first start, say the one-time link of the owner."""
    with review_site(settings, secure=binding.tls, double=double) as site, _listening(binding) as listener:
        host, port = listener.getsockname()[:2]
        address = f"{'https' if binding.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        pages = server(create_app(site), binding)
        say(f"Review pages: {address}/  (Ctrl-C ends them)")
        if (link := site.accounts.first_link()) is not None:
            say(f"No account has a password yet. The owner sets one here, once, within a day:\n{address}/link/{link}")
        with suppress(KeyboardInterrupt):  # the server hands Ctrl-C on when it has ended
            pages.run(sockets=[listener])


def server(app: FastAPI, binding: Binding) -> uvicorn.Server:
    """The server. It writes no access log: addresses of pages hold one-time links."""
    config = uvicorn.Config(
        app,
        ssl_certfile=binding.tls_cert,
        ssl_keyfile=binding.tls_key,
        access_log=False,
        log_level="critical",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    try:
        config.load()
    except OSError as error:  # also what TLS says of a bad certificate
        raise TriageError(
            f"The certificate or its key cannot be used ({type(error).__name__}).",
            do="Give --tls-cert and --tls-key as PEM files that belong together.",
        ) from error
    return uvicorn.Server(config)


@contextmanager
def review_site(settings: Settings, *, secure: bool, double: bool) -> Iterator[Site]:
    """The pages' collaborators over the state folder and the output folder of the settings."""
    engine = connect(settings.review_database)
    try:
        with open_log(settings.log) as log:
            yield Site(
                desk=ReviewDesk(engine, corrections=settings.state_folder / CORRECTIONS, double=double),
                accounts=Accounts(engine),
                out=settings.out.absolute(),
                seal=Seal(load_or_create_key(settings.state_folder / SESSION_KEY)),
                secure=secure,
                usual=UsualVolumes(settings.out),
                complain=lambda error: log.error("review_failed", error=type(error).__name__, where=where(error)),
            )
    finally:
        engine.dispose()


@contextmanager
def _listening(binding: Binding) -> Iterator[socket.socket]:
    try:
        family, *_, place = socket.getaddrinfo(binding.host, binding.port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(place[:2], family=family)
    except OSError as error:
        raise TriageError(
            f"The review pages cannot listen on {binding.host}, port {binding.port} ({error.strerror}).",
            do="End what uses it, or give another --port.",
        ) from error
    with listener:
        yield listener
