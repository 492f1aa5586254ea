"""A decided case, decided again under the bundle that decided it: is every voxel and every number the same?

The seed is the one that the report names, so nothing may differ, but for the seconds it took.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.bundles import digest_of, kept_folder
from pipelines.folders import decisions
from pipelines.run import find_cases
from pipelines.settings import SHIPPED_BUNDLE, Settings
from triage.case import Case, Inventory, Volume
from triage.disk import file_sha256
from triage.errors import TriageError
from triage.ports import Engine, Gate
from triage.report.as_json import REPORT, as_json
from triage.report.as_nifti import CONFLICT, ENTROPY, SEGMENTATION, as_nifti
from triage.verdict import Report, Route

VOLUMES = (SEGMENTATION, ENTROPY, CONFLICT)
SECTIONS = ("measurements", "findings", "uncertainty", "processing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay found. compared: the files and sections that were. differs: what is not the same, in words."""

    bundle_digest: str
    compared: tuple[str, ...]
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """What a case is decided again with."""

    read: Callable[[Case], Volume]
    engine: Engine
    gate: Gate


def gather_instruments(settings: Settings, bundle: Path, recorded: Mapping[str, Any]) -> Instruments:
    """Reading, engine and gate as the case had them, on as many threads: sums in another order round otherwise."""
    network: Mapping[str, Any] = next((s["parameters"] for s in recorded["steps"] if s["name"] == "network"), {})
    if "threads" in network:
        os.environ["OMP_NUM_THREADS"] = str(network["threads"])  # read when torch loads, which is below
    from pipelines.engine import load_engine
    from triage.gate.rules import load_gate
    from triage.intake import read_volume

    return Instruments(
        read=lambda case: read_volume(case.structural, limits=settings.limits),
        engine=load_engine(bundle, device=settings.device),
        gate=load_gate(bundle),
    )


def replay(
    pseudonym: str,
    inbox: Path,
    settings: Settings,
    *,
    bundle: str = "",
    gather: Callable[[Settings, Path, Mapping[str, Any]], Instruments] = gather_instruments,
    find: Callable[[Path, Settings], Inventory] = find_cases,
) -> Replay:
    """Decide a case of the output folder again and compare. Raises TriageError when that cannot be done.

    bundle: the beginning of the digest of the one that decided, where several did; else the latest decision is taken.
    """
    folder, manifest = _decided(settings.out, pseudonym, bundle)
    before = _sealed_report(folder, manifest)
    case = _found(find(inbox, settings), pseudonym, manifest["content_sha256"])
    where = _bundle_folder(settings, manifest["bundle_digest"])
    tools = gather(settings, where, before["processing"])
    volume = tools.read(case)
    prediction = tools.engine.predict(volume, seed=before["processing"]["seed"])
    verdict = tools.gate.decide(case, prediction)
    report = Report(case=case, verdict=verdict, bundle=tools.engine.bundle, volume=volume, prediction=prediction)
    files = [name for name in VOLUMES if name in manifest["files"]]
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        as_nifti(report, place)
        as_json(report, place)
        other = [name for name in files if file_sha256(place / name) != manifest["files"][name]]
        after = json.loads((place / REPORT).read_text(encoding="ascii"))
    return Replay(
        bundle_digest=manifest["bundle_digest"],
        compared=(*files, *SECTIONS, "signals"),
        differs=(*other, *_differences(_repeatable(before), _repeatable(after))),
    )


def _decided(out: Path, pseudonym: str, bundle: str) -> tuple[Path, dict[str, Any]]:
    """The folder of a decision on a case, and its manifest; the latest decision first."""
    for folder, manifest in decisions(out, pseudonym):
        if not manifest["bundle_digest"].startswith(bundle):
            continue
        if manifest["route"] == Route.REFUSED:
            raise TriageError("The case was refused: nothing was computed.", do="Its report says why it was refused.")
        return folder, manifest
    raise TriageError(
        f"No decision on {pseudonym} lies in {out}.", do="Name the folder of its run with --out, or another --bundle."
    )


def _sealed_report(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    if file_sha256(folder / REPORT) != manifest["files"][REPORT]:
        raise TriageError(
            f"{REPORT} of this case was altered since it was decided.", do="Restore the folder from a backup."
        )
    return dict(json.loads((folder / REPORT).read_text(encoding="ascii")))


def _found(inventory: Inventory, pseudonym: str, content_sha256: str) -> Case:
    for case in inventory.cases:
        if (case.pseudonym, case.content_sha256) == (pseudonym, content_sha256):
            return case
    raise TriageError(
        "The files that this decision was made on do not lie in the inbox.",
        do="Give the inbox that it came from, and the state folder with the key of the pseudonyms.",
    )


def _bundle_folder(settings: Settings, digest: str) -> Path:
    known: tuple[Path, ...] = (kept_folder(settings, digest), SHIPPED_BUNDLE, settings.bundle or SHIPPED_BUNDLE)
    for folder in known:
        if digest_of(folder) == digest:
            return folder
    raise TriageError(
        f"The bundle that decided, {digest[:12]}, is not here.", do="Give its folder as `bundle` in the settings."
    )


def _repeatable(report: Mapping[str, Any]) -> dict[str, Any]:
    """What of a report must come out the same. The route may not: the monitor of that day may have held the gate."""
    kept = {name: report[name] for name in SECTIONS}
    kept["processing"] = {key: value for key, value in kept["processing"].items() if key != "timings_s"}
    return kept | {"signals": report["verdict"]["signals"], "score": report["verdict"]["score"]}


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Each value that is not the same, by its path in report.json."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        for key in before:
            yield from _differences(before[key], after[key], f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differences(old, new, f"{path}[{number}]")
    elif before != after:
        yield f"{path}: {_short(before)} became {_short(after)}"


def _short(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float | None) else "another shape"
