"""A challenger against the live model: on the frozen test set, and in shadow on the last cases that were decided.

What the live model made of a shadow case is read where its run left it; the challenger decides nothing, it only looks.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path

from pipelines.bundles import open_history, standing_bundle, substance
from pipelines.comparison import Comparison, Shadowed, write_comparison
from pipelines.engine import BundleEngine, load_engine
from pipelines.examine import examine, shadow
from pipelines.paired import Examined, differences
from pipelines.promote import comparison_file
from pipelines.retrain_corrections import CORRECTIONS, open_ledger
from pipelines.scans import Scan
from pipelines.settings import Settings
from triage import __version__
from triage.errors import TriageError
from triage.gate.rules import load_gate
from triage.ledger import Split
from triage.ports import Gate
from triage.report.as_json import REPORT
from triage.report.as_nifti import IMAGE
from triage.review import History, ReaderVerdict, ReviewDesk, connect
from triage.verdict import BundleId

UNUSABLE = (ReaderVerdict.REJECT, ReaderVerdict.NOT_ASSESSABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One of two models. folder: of its bundle."""

    folder: Path
    engine: BundleEngine
    gate: Gate

    @property
    def key(self) -> str:
        """Names what it makes of a scan: the same weights and limits under the same program make the same."""
        return f"{substance(self.folder)[:16]}-{__version__}"


def open_contender(folder: Path, settings: Settings) -> Contender:
    """A bundle ready to be examined."""
    return Contender(folder=folder, engine=load_engine(folder, device=settings.device), gate=load_gate(folder))


def challenge(
    challenger: Path,
    settings: Settings,
    scans: Sequence[Scan],
    *,
    recent: int,
    cache: Path,
    step: Callable[[str], None] = lambda _: None,
    contender: Callable[[Path, Settings], Contender] = open_contender,
) -> Comparison:
    """Compare, and keep the comparison where a promotion asks for it.

    scans: the frozen test set; its subjects only test from now on, and one that trained is refused. recent: so many
    cases in shadow. cache: folder for what takes long. step: told of each case.
    """
    open_ledger(settings).freeze([scan.subject or scan.name for scan in scans], Split.TEST)
    with open_history(settings) as history:
        live = contender(standing_bundle(settings, history.live()), settings)
        folders = recent_cases(history, live.engine.bundle, settings.out, recent)
    other, rejected = contender(challenger, settings), rejected_cases(settings)
    pairs: list[tuple[Examined, Examined]] = []
    shadowed: list[Shadowed] = []
    for scan in scans:
        step(scan.name)
        before, now = (examine(scan, one.engine, one.gate, cache, one.key) for one in (live, other))
        pairs.append((before, now))
    for folder in folders:
        step(folder.name)
        before, now, shadow_case = shadow(
            folder, other.engine, other.gate, seed=settings.seed, rejected=folder.name in rejected
        )
        pairs.append((before, now))
        shadowed.append(shadow_case)
    comparison = Comparison(
        live=live.engine.bundle,
        challenger=other.engine.bundle,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        cases=frozen_digest(scans),
        differences=tuple(differences([a for a, _ in pairs], [b for _, b in pairs])),
        shadow=tuple(shadowed),
    )
    write_comparison(comparison, comparison_file(settings, live.folder, challenger))
    return comparison


def recent_cases(history: History, live: BundleId, out: Path, n: int) -> list[Path]:
    """Folders of the last cases that this bundle decided, newest first; those whose image is not there are left out."""
    try:
        decided = history.decided_by(live.digest)
    except TriageError:  # it has decided nothing yet
        return []
    names = dict.fromkeys(case.pseudonym for case in reversed(decided))
    return list(islice((out / name for name in names if _holds(out / name, live)), n))


def rejected_cases(settings: Settings) -> frozenset[str]:
    """Pseudonyms of the cases that a reader could not use, by the last verdict on each."""
    engine = connect(settings.review_database)
    try:
        readings = ReviewDesk(engine, corrections=settings.state_folder / CORRECTIONS).readings()
    finally:
        engine.dispose()
    last = {reading.pseudonym: reading.verdict for reading in readings}
    return frozenset(name for name, verdict in last.items() if verdict in UNUSABLE)


def frozen_digest(scans: Sequence[Scan]) -> str:
    """Which scans with which labels, whatever became of their files: SHA-256 over their names and the labels' bytes."""
    known = sha256()
    for scan in scans:
        known.update(scan.name.encode())
        known.update(b"" if scan.labels is None else scan.labels.read_bytes())
    return known.hexdigest()


def _holds(folder: Path, live: BundleId) -> bool:
    try:
        report = json.loads((folder / REPORT).read_text())
    except (OSError, ValueError):
        return False
    return report["bundle"]["digest"] == live.digest and (folder / IMAGE).is_file()
