"""The frozen test set of a state folder: the scans that challengers are compared on, until somebody says why not.

It is known by a digest of all that a comparison reads of them, so neither other scans nor other labels go unseen.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pipelines.folders import replace_file
from pipelines.scans import Scan
from pipelines.settings import Settings
from triage.disk import file_sha256

FILE = "frozen-test-set"


def scan_digest(scan: Scan) -> str:
    """SHA-256 of a scan's image, its labels, and what the table says of it."""
    files = [None if path is None else file_sha256(path) for path in (scan.t1, scan.labels)]
    known = [scan.name, scan.subject, scan.finding, scan.age_years, scan.manual, *files]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def frozen_digest(scans: Sequence[Scan]) -> str:
    """SHA-256 over the digests of the scans, in whatever order; empty when there is none."""
    digests = sorted(scan_digest(scan) for scan in scans)
    return hashlib.sha256("".join(digests).encode()).hexdigest() if digests else ""


def frozen_set(settings: Settings) -> str:
    """The digest of the frozen test set; empty before the first comparison."""
    file = settings.state_folder / FILE
    return file.read_text(encoding="ascii").strip() if file.is_file() else ""


def freeze_set(settings: Settings, digest: str) -> None:
    """From now on challengers are compared on the test set of this digest."""

    def write(path: Path) -> None:
        path.write_text(f"{digest}\n", encoding="ascii")

    if digest:
        replace_file(settings.state_folder / FILE, write)
