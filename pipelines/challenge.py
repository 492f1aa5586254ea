"""A challenger against the live model: on the frozen test set, and in shadow on the last cases that were decided.

What the live model made of a shadow case is read where its run left it; the challenger decides nothing, it only looks.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from pipelines.bundles import has_learnt, open_history, standing_bundle, substance
from pipelines.comparison import Comparison, Shadowed, write_comparison
from pipelines.engine import BundleEngine, load_engine
from pipelines.examine import examine, shadow
from pipelines.frozen import freeze_set, frozen_digest, frozen_set
from pipelines.paired import Examined, differences
from pipelines.promote import comparison_file
from pipelines.retrain_corrections import open_ledger, read_readings
from pipelines.scans import Scan
from pipelines.settings import Settings
from triage import __version__
from triage.errors import TriageError
from triage.gate.rules import load_gate
from triage.ledger import Split
from triage.ports import Gate
from triage.report.as_json import REPORT
from triage.report.as_nifti import IMAGE
from triage.review import History, ReaderVerdict
from triage.verdict import BundleId, Route

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

    scans: the test set; its subjects only test from now on, and one that trained is refused; the first is the frozen
    one. recent: so many cases in shadow. cache: folder for what takes long. step: told of each case.
    """
    open_ledger(settings).freeze([scan.subject or scan.name for scan in scans], Split.TEST)
    cases = frozen_digest(scans)
    frozen = frozen_set(settings) or cases
    freeze_set(settings, frozen)
    with open_history(settings) as history:
        live = contender(standing_bundle(settings, history.live()), settings)
        decided = decided_cases(history, live.engine.bundle)
    other = contender(challenger, settings)
    pairs: list[tuple[Examined, Examined]] = []
    for scan in scans:
        step(scan.name)
        before, now = (examine(scan, one.engine, one.gate, cache, one.key) for one in (live, other))
        pairs.append((before, now))
    folders = shadow_folders(decided, live.engine.bundle, settings.out, recent)
    shadowed = list(_in_shadow(folders, live, other, settings, step))
    pairs += [(before, now) for before, now, case in shadowed if not case.trained_on]
    comparison = Comparison(
        live=live.engine.bundle,
        challenger=other.engine.bundle,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        cases=cases,
        frozen=frozen,
        decided=len(decided),
        differences=tuple(differences([a for a, _ in pairs], [b for _, b in pairs])),
        shadow=tuple(case for _, _, case in shadowed),
    )
    write_comparison(comparison, comparison_file(settings, live.folder, challenger))
    return comparison


def decided_cases(history: History, live: BundleId) -> list[str]:
    """Pseudonyms of the cases that this bundle decided, newest first, without those that it refused."""
    try:
        decided = history.decided_by(live.digest)
    except TriageError:  # it has decided nothing yet
        return []
    return list(dict.fromkeys(c.pseudonym for c in reversed(decided) if c.decision.route is not Route.REFUSED))


def shadow_folders(decided: Sequence[str], live: BundleId, out: Path, n: int) -> list[Path]:
    """The first n folders that hold what this bundle made of these cases, with the image."""
    return list(islice((out / name for name in decided if _holds(out / name, live)), n))


def rejected_cases(settings: Settings) -> frozenset[str]:
    """Pseudonyms of the cases that a reader could not use, by the last verdict on each."""
    last = {reading.pseudonym: reading.verdict for reading in read_readings(settings)}
    return frozenset(name for name, verdict in last.items() if verdict in UNUSABLE)


def _in_shadow(
    folders: Sequence[Path], live: Contender, other: Contender, settings: Settings, step: Callable[[str], None]
) -> Iterator[tuple[Examined, Examined, Shadowed]]:
    """What either model made of these cases, and what that changes."""
    rejected, learnt = rejected_cases(settings), [has_learnt(one.folder) for one in (live, other)]
    for folder in folders:
        step(folder.name)
        yield shadow(
            folder,
            other.engine,
            other.gate,
            seed=settings.seed,
            rejected=folder.name in rejected,
            learnt=lambda content: any(knows(content) for knows in learnt),
        )


def _holds(folder: Path, live: BundleId) -> bool:
    try:
        report = json.loads((folder / REPORT).read_text())
    except (OSError, ValueError):
        return False
    return report["bundle"]["digest"] == live.digest and (folder / IMAGE).is_file()
