"""What a case costs on this machine, from its folder of DICOM to its report, and where cases of whole inboxes go.

python -m pipelines.bench.cost --data ../shared/data
"""

import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch

from models.runtime import openvino_runner, torch_runner
from pipelines.bench.doubt_text import wrapped
from pipelines.bench.page import Bench, Inputs, Results, figure, run, table
from pipelines.engine import BundleEngine, load_engine
from pipelines.preprocess import conform
from pipelines.progress import Unwatched
from pipelines.run import find_cases
from pipelines.run import run as run_inbox
from pipelines.run_case import Stage, Tools, run_case
from pipelines.sample import make_sample_inbox
from pipelines.settings import Settings, Tracking
from pipelines.turns import cpu_seconds, in_turns, seconds
from triage.case import Volume
from triage.gate.rules import load_gate, refuse
from triage.intake import read_volume
from triage.report import WRITERS
from triage.review import open_queue
from triage.verdict import Route

REPEATS = 3
IDLE = 1.0
"""Budgets of time are those of an idle machine: with this many other processes at work they are not judged."""
BUSY = (
    "So the budgets of time, which are those of an idle machine, are not judged on this page. The seconds of the "
    "processors, over all stages, say what the case takes: on two idle ones its wall time lies between half of them "
    "and all."
)
QUIET = "The budgets of time are those of an idle machine, as this one was."
SAMPLE, REAL = "the sample", "real series of several vendors"
PAGE = """# What a case costs

{machine}; {bundle}. One case of the embedded sample, classic DICOM, 1 mm, from its folder to its report, medians of
{repeats} turns of wall time; indented: parts of predict. Before it began {load:.1f} other processes were at work here.
{judged}

{stages}
The trunk, measured in turns: {trunk}. What samples cost: [the page of the predictive](predictive.md).

## Whole inboxes

By `brain-triage run` with the shipped limits, every output format, and nothing tracked. Seconds are the mean wall time
of the cases that were segmented, whether they were accepted or not. CT and other things that are no MR are left alone.

{inboxes}
`python -m pipelines.bench.cost`
"""


def process_seconds(arguments: list[str]) -> float:
    """Best of three wall times of a fresh Python process."""
    command = [sys.executable, *arguments]
    return min(seconds(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(3))  # noqa: S603


def timed_case(inbox: Path, place: Path, bundle: Path, engine: BundleEngine) -> dict[str, float]:
    """Seconds of every stage of one case, from its folder to its report; parts of a stage are indented."""
    start = time.perf_counter()
    (case,) = find_cases(inbox, Settings(out=place / "out")).cases
    entered: list[tuple[str, float]] = [("inventory", start)]
    place.mkdir(exist_ok=True)
    with closing(open_queue(f"sqlite:///{place / 'review.db'}")) as queue:
        gate = load_gate(bundle)
        tools = Tools(read=read_volume, engine=engine, gate=gate, refuse=refuse, writers=WRITERS, queue=queue)
        report = run_case(case, tools, folder=place, enter=lambda stage: entered.append((stage, time.perf_counter())))
    ends = [*(begun for _, begun in entered[1:]), time.perf_counter()]
    marks = {stage: end - begun for (stage, begun), end in zip(entered, ends, strict=True)}
    parts = report.prediction.timings_s if report.prediction else {}
    return marks | {f"  {part}": took for part, took in parts.items()}


def bench_case(inbox: Path, place: Path, bundle: Path, engine: BundleEngine) -> dict[str, Any]:
    """From a folder of DICOM to the report, stage by stage, with the peak memory of the process."""
    turns = [cpu_seconds(partial(timed_case, inbox, place / str(turn), bundle, engine)) for turn in range(REPEATS + 1)][
        1:
    ]
    return {
        "stages_s": {stage: statistics.median(found[stage] for found, _ in turns) for stage in turns[0][0]},
        "cpu_s": statistics.median(cpu for _, cpu in turns),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def bench_inbox(inbox: Path, place: Path, bundle: Path) -> dict[str, Any]:
    """Where the cases of an inbox went, and the mean seconds of those that were segmented."""
    settings = Settings(out=place / "out", bundle=bundle, tracking=Tracking(on=False))
    result = run_inbox(inbox, settings, Unwatched())
    segmented = [sum(one.seconds.values()) for one in result.outcomes if Stage.PREDICT in one.seconds]
    return {
        "routes": result.counts,
        "codes": dict(Counter(one.code.value for one in result.outcomes if one.code)),
        "segmented": len(segmented),
        "mean_s": statistics.mean(segmented),
    }


def bench_trunk(engine: BundleEngine, volume: Volume) -> tuple[float, ...]:
    """Seconds of the trunk in eager torch and in OpenVINO, in turns."""
    image = torch.from_numpy(conform(volume).image)
    reference, fast = torch_runner(engine.model.trunk), openvino_runner(engine.model.trunk)
    return in_turns(lambda: reference(image), lambda: fast(image), repeats=REPEATS)


def measure(inputs: Inputs) -> Results:
    """One case of the embedded sample; what starting costs; what the bundle weighs; whole inboxes."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        inboxes = {SAMPLE: make_sample_inbox(place / "sample"), REAL: unpacked(inputs.data / "dicom", place / "real")}
        one = inboxes[SAMPLE] / "ana"
        engine = load_engine(inputs.bundle)
        case = bench_case(one, place / "one", inputs.bundle, engine)
        (found,) = find_cases(one, Settings(out=place / "out")).cases
        trunk = bench_trunk(engine, read_volume(found.structural))
        runs = {name: bench_inbox(inbox, place / name, inputs.bundle) for name, inbox in inboxes.items()}
    return case | {
        "bundle": f"{engine.bundle.name} {engine.bundle.version}",
        "trunk_s": trunk,
        "import_s": process_seconds(["-c", "import triage"]),
        "help_s": process_seconds(["-m", "triage", "--help"]),
        "bundle_mb": sum(p.stat().st_size for p in inputs.bundle.rglob("*") if p.is_file()) / 1e6,
        "machine": f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads",
        "load": load,
        "inboxes": runs,
    }


def unpacked(archives: Path, place: Path) -> Path:
    """Every series of a folder of archives, each in a folder of its own."""
    for path in sorted(archives.glob("*.tar.gz")):
        with tarfile.open(path) as archive:
            archive.extractall(place / path.name.removesuffix(".tar.gz"), filter="data")
    return place


def write(results: Results, folder: Path) -> str:
    """The page."""
    stages, busy = results["stages_s"], results["load"] >= IDLE
    total = sum(took for stage, took in stages.items() if not stage.startswith(" "))
    parts = [[f"&nbsp;&nbsp;{name.strip()}", f"{took:.2f} s", ""] for name, took in stages.items() if name[0] == " "]
    rows = [[name, f"{took:.2f} s", ""] for name, took in stages.items() if name[0] != " "]
    after = [name for name, _, _ in rows].index(Stage.PREDICT) + 1
    rows[after:after] = parts
    rows += [
        ["**sum**", f"**{total:.1f} s**", in_time(total, 15, busy)],
        ["of the processors, sum", f"{results['cpu_s']:.1f} s", ""],
        ["peak memory", f"{results['peak_gib']:.2f} GiB", against(results["peak_gib"], 3, "GiB")],
        ["`import triage`", f"{results['import_s']:.2f} s", in_time(results["import_s"], 0.5, busy)],
        ["`brain-triage --help`", f"{results['help_s']:.2f} s", in_time(results["help_s"], 0.5, busy)],
        ["bundle", f"{results['bundle_mb']:.1f} MB", against(results["bundle_mb"], 36, "MB")],
    ]
    eager, fast = results["trunk_s"]
    page = PAGE.format(
        machine=results["machine"],
        load=results["load"],
        repeats=REPEATS,
        judged=BUSY if busy else QUIET,
        stages=table(["stage", "median", "budget"], rows),
        bundle=results["bundle"],
        trunk=f"in eager torch {eager:.2f} s, in OpenVINO {fast:.2f} s: a ratio of {eager / fast:.2f}",
        inboxes=_inboxes(results["inboxes"]),
    )
    return wrapped(page)


def _inboxes(runs: Results) -> str:
    header = [*(route.value.replace("_", " ") for route in Route), "codes of the refused", "segmented", "s a case"]
    rows = [
        [
            name,
            *(one["routes"][route] for route in Route),
            _counted(one["codes"]),
            one["segmented"],
            figure(one["mean_s"], 1),
        ]
        for name, one in runs.items()
    ]
    return table(["inbox", *header], rows)


def _counted(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {n}" for code, n in sorted(codes.items())) or "-"


def in_time(took: float, budget: float, busy: bool) -> str:
    """The budget of seconds, judged where nothing else was at work."""
    return f"{budget:g} s" if busy else against(took, budget, "s")


def against(value: float, budget: float, unit: str = "") -> str:
    """The budget, and whether it is met."""
    return f"{budget:g} {unit}".strip() + ("" if value <= budget else ": **not met**")


BENCH = Bench(name="cost", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
