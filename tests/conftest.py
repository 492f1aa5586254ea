"""What every test shares: real data when it is there, few threads, no network."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from models.priors.atlas import Atlas

THREADS = str(min(2, os.cpu_count() or 1))
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, THREADS)  # read when numpy and torch load, so before any test imports them
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real scans that lies beside the checkout where the project is developed; a user has none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not (folder / "cases.csv").is_file():
        pytest.skip("no real scans beside the checkout (../shared/data/cases.csv)")
    return folder


@pytest.fixture(scope="session")
def shipped_atlas(repository: Path) -> "Atlas":
    """The atlas of the shipped bundle; a checkout may be without its weights."""
    from models.bundle import ATLAS, read_atlas

    path = repository / "models" / "shipped" / ATLAS
    if not path.is_file():
        pytest.skip(f"no {ATLAS} in models/shipped")
    return read_atlas(path)


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Nothing that we run speaks to another machine: a connection beyond this one fails the test."""
    connect = socket.socket.connect

    def connect_here_only(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple) and not _here(address[0]):
            raise AssertionError(f"a test tried to connect to {address[0]}")
        connect(self, address)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here_only)
        yield


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
