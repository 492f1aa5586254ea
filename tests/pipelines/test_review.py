"""Where the review pages may listen, and what the first start makes and says."""

import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.review import Binding, review_site, serve, server
from pipelines.settings import Settings
from triage.errors import TriageError
from triage.review import open_queue
from triage.web.app import create_app


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation that has run."""
    settings = Settings(out=tmp_path / "out", state=tmp_path / "state")
    settings.state_folder.mkdir()
    with closing(open_queue(settings.review_database)):
        return settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_the_pages_listen_on_this_machine_without_more_ado(host: str) -> None:
    assert Binding(host=host).tls is False


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "review.hospital.example", "localhost.evil.example"])
def test_beyond_this_machine_only_over_tls_unless_somebody_insists(host: str) -> None:
    with pytest.raises(TriageError, match="--tls-cert"):
        Binding(host=host)
    assert Binding(host=host, insecure=True).tls is False
    assert Binding(host=host, tls_cert=Path("cert.pem"), tls_key=Path("key.pem")).tls is True


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(TriageError, match="both"):
        Binding(tls_cert=Path("cert.pem"))


def test_the_command_refuses_a_bare_address_before_it_starts_anything(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["review", "--host", "0.0.0.0", "--out", str(settings.out), "--state", str(settings.state_folder)])

    assert status == 1
    assert "--insecure" in capsys.readouterr().err


def test_the_key_of_the_sessions_is_readable_by_its_owner_alone_and_stays(settings: Settings) -> None:
    with review_site(settings, secure=False, double=False):
        first = (settings.state_folder / "session.key").read_bytes()
    with review_site(settings, secure=False, double=False):
        second = (settings.state_folder / "session.key").read_bytes()

    assert first == second
    assert stat.S_IMODE((settings.state_folder / "session.key").stat().st_mode) == 0o600


def test_the_first_start_prints_a_link_that_opens_and_ctrl_c_ends_it(settings: Settings) -> None:
    command = [sys.executable, "-m", "pipelines", "review", "--port", "0", "--out", str(settings.out)]
    running = subprocess.Popen(
        [*command, "--state", str(settings.state_folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    address, _, link = (running.stdout.readline() for _ in range(3))

    with urllib.request.urlopen(link.strip(), timeout=30) as answer:
        page = answer.read().decode()
    running.send_signal(signal.SIGINT)
    _, complaints = running.communicate(timeout=30)

    assert re.match(r"Review pages: http://127\.0\.0\.1:\d+/ ", address)
    assert "Set your password" in page
    assert (running.returncode, complaints) == (0, "")


def test_a_port_that_is_in_use_is_told(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(TriageError, match="--port"):
            serve(settings, Binding(port=port), double=False, say=print)


def test_over_tls_the_pages_are_served_as_such(settings: Settings, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *name]
    subprocess.run([*make, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    binding = Binding(port=0, tls_cert=cert, tls_key=key)

    with review_site(settings, secure=True, double=False) as site, socket.create_server(("127.0.0.1", 0)) as listener:
        pages = server(create_app(site), binding)
        thread = threading.Thread(target=pages.run, kwargs={"sockets": [listener]})
        thread.start()
        trusted = ssl.create_default_context(cafile=str(cert))
        with urllib.request.urlopen(
            f"https://127.0.0.1:{listener.getsockname()[1]}/sign-in", context=trusted
        ) as answer:
            cookie = answer.headers["set-cookie"]
        pages.should_exit = True
        thread.join()

    assert "Secure" in cookie


def test_a_certificate_that_is_none_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    binding = Binding(port=0, tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem")

    with pytest.raises(TriageError, match="PEM"):
        serve(settings, binding, double=False, say=print)
