"""What a retraining is made of: its choices, its inputs and the folder where it leaves each stage when it is done.

The folder is named by the digest of all that decides the outcome, so the same retraining, killed and called again, goes
on in the same folder, and another one never finds a stage that is not its own.
"""

import hashlib
import json
import math
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from models.bundle import METADATA, read_network
from models.network import SegmentationNet
from models.runtime import Runner, make_runner
from pipelines.examples import Shape
from pipelines.folders import replace_file
from pipelines.retrain_corrections import Corrected, Corrections
from triage.anatomy import N_CLASSES
from triage.errors import TriageError
from triage.ledger import Ledger

STAGES = "stages"
Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """weight: synthetic images that a corrected scan counts as; each label map has four.

    full: iterations that fine-tune the trunk, 0 for none; shape: their field of view, multiples of 32.
    maps: heads that are made from the shipped atlas when label maps are needed and none are given. images: synthetic
    images of each label map, for a trunk that has no replay yet.
    """

    seed: int = 0
    weight: float = 4.0
    full: int = 0
    learning_rate: float = 1e-4
    shape: Shape = (160, 192, 160)
    maps: int = 6
    images: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise TriageError(f"A correction cannot count as {self.weight} images.", do="Give a --weight above 0.")
        if any(side < 32 or side % 32 for side in self.shape):
            raise TriageError(f"The field of view {self.shape} is not understood.", do="Give multiples of 32.")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One retraining. live: folder of the bundle that it starts from. state: where `folder` is made.

    label_maps, lesion_masks: what to synthesise from. cases: table of labelled scans.
    """

    live: Path
    live_digest: str
    corrections: Corrections
    ledger: Ledger
    options: Options
    state: Path
    label_maps: Path | None = None
    lesion_masks: Path | None = None
    cases: Path | None = None

    @cached_property
    def folder(self) -> Path:
        """Where this retraining lives until its bundle is whole."""
        told = json.dumps([self.live_digest, asdict(self.options), self.datasets], sort_keys=True)
        return self.state / hashlib.sha256(told.encode()).hexdigest()[:16]

    @cached_property
    def datasets(self) -> dict[str, Any]:
        """By name: what is in each and its digest. Nothing names a patient."""
        given = {"label_maps": self.label_maps, "lesion_masks": self.lesion_masks, "cases": self.cases}
        return {
            "corrections_train": _of_corrections(self.corrections.train),
            "corrections_tune": _of_corrections(self.corrections.tune),
            **{name: {"sha256": _of_path(path)} for name, path in given.items() if path is not None},
        }

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the live bundle says of itself."""
        return dict(json.loads((self.live / METADATA).read_text())["brain_triage"])

    @cached_property
    def learnt(self) -> set[str]:
        """Keys of the corrections that the live bundle has learnt from."""
        return set(self.settings.get("retrained", {}).get("corrections", ()))

    @cached_property
    def live_net(self) -> SegmentationNet:
        """The live network."""
        return read_network(self.live, N_CLASSES)

    @cached_property
    def net(self) -> SegmentationNet:
        """The network whose trunk the new bundle has: the live one, or after fine-tuning the new one."""
        return read_network(self.folder, N_CLASSES) if self.options.full else self.live_net

    @cached_property
    def runner(self) -> Runner:
        """Of that trunk."""
        return make_runner(self.net.trunk)[1]

    @cached_property
    def live_runner(self) -> Runner:
        """Of the live trunk."""
        return make_runner(self.live_net.trunk)[1] if self.options.full else self.runner


def run_stage(job: Job, name: str, work: Callable[[Job], Metrics]) -> None:
    """Do a stage unless it is done; its metrics and what it cost go into the folder last."""
    record = job.folder / STAGES / f"{name}.json"
    if record.is_file():
        return
    record.parent.mkdir(parents=True, exist_ok=True)
    wall, cpu = time.time(), time.process_time()
    metrics = dict(work(job))
    content = {
        "began_ms": int(wall * 1000),
        "ended_ms": int(time.time() * 1000),
        "metrics": metrics,
        "system": {
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "wall_seconds": round(time.time() - wall, 2),
            "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        },
    }

    def write(path: Path) -> None:
        path.write_text(json.dumps(content, indent=1) + "\n")

    replace_file(record, write)


def read_stages(folder: Path) -> dict[str, dict[str, Any]]:
    """Every stage that is done, in order of time."""
    found = {path.stem: json.loads(path.read_text()) for path in (folder / STAGES).glob("[!.]*.json")}
    return dict(sorted(found.items(), key=lambda item: item[1]["began_ms"]))


def _of_corrections(corrected: Sequence[Corrected]) -> dict[str, Any]:
    digest = hashlib.sha256("".join(f"{c.key} {c.seen_sha256} {c.subject}\n" for c in corrected).encode())
    return {"cases": [c.pseudonym for c in corrected], "sha256": digest.hexdigest()}


def _of_path(path: Path) -> str:
    """Of a file, or of all files in a folder by their names."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
