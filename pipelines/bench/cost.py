"""What a case costs on this machine, from its folder of DICOM to its report."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from models.runtime import openvino_runner, torch_runner
from pipelines.bench.page import Bench, Inputs, Results, run, table
from pipelines.engine import BundleEngine, load_engine
from pipelines.preprocess import conform
from pipelines.run import find_cases
from pipelines.run_case import Tools, run_case
from pipelines.sample import make_sample_inbox
from pipelines.settings import SHIPPED_BUNDLE, Settings
from pipelines.turns import in_turns, seconds
from triage.case import Volume
from triage.gate.rules import load_gate, refuse
from triage.intake import read_volume
from triage.report import WRITERS
from triage.review import open_queue

REPEATS = 3
PAGE = """# What a case costs

{machine}; {bundle}. One embedded sample case, classic DICOM, 1 mm, from its folder to its report;
indented: parts of predict. Times on a shared machine are noisy.

{stages}
The trunk, measured in turns: {trunk}. What samples cost: [the page of the predictive](predictive.md).

`python -m pipelines.bench.cost`
"""


def process_seconds(arguments: list[str]) -> float:
    """Best of three wall times of a fresh Python process."""
    command = [sys.executable, *arguments]
    return min(seconds(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(3))  # noqa: S603


def timed_case(inbox: Path, place: Path, engine: BundleEngine) -> list[tuple[str, float]]:
    """Seconds of every stage of one case, from its folder to its report; parts of a stage are indented."""
    start = time.perf_counter()
    settings = Settings(out=place / "out")
    (case,) = find_cases(inbox, settings).cases
    entered: list[tuple[str, float]] = [("inventory", start)]
    place.mkdir(exist_ok=True)
    with closing(open_queue(f"sqlite:///{place / 'review.db'}")) as queue:
        gate = load_gate(SHIPPED_BUNDLE)
        tools = Tools(read=read_volume, engine=engine, gate=gate, refuse=refuse, writers=WRITERS, queue=queue)
        report = run_case(case, tools, folder=place, enter=lambda stage: entered.append((stage, time.perf_counter())))
    ends = [*(begun for _, begun in entered[1:]), time.perf_counter()]
    marks = [(stage, end - begun) for (stage, begun), end in zip(entered, ends, strict=True)]
    inside = [(f"  {part}", took) for part, took in (report.prediction.timings_s if report.prediction else {}).items()]
    return [*marks, *inside]


def bench_case(inbox: Path, place: Path, engine: BundleEngine) -> dict[str, Any]:
    """From a folder of DICOM to the report, stage by stage, with the peak memory of the process."""
    runs = [dict(timed_case(inbox, place / str(turn), engine)) for turn in range(REPEATS + 1)][1:]
    return {
        "stages_s": {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]},
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def bench_trunk(engine: BundleEngine, volume: Volume) -> tuple[float, ...]:
    """Seconds of the trunk in eager torch and in OpenVINO, in turns."""
    image = torch.from_numpy(conform(volume).image)
    reference, fast = torch_runner(engine.model.trunk), openvino_runner(engine.model.trunk)
    return in_turns(lambda: reference(image), lambda: fast(image), repeats=REPEATS)


def measure(inputs: Inputs) -> Results:
    """One case of the embedded sample; what starting costs; what the bundle weighs."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        inbox = make_sample_inbox(place / "inbox", only=("ana",)) / "ana"
        engine = load_engine(inputs.bundle)
        case = bench_case(inbox, place, engine)
        (found,) = find_cases(inbox, Settings(out=place / "out")).cases
        trunk = bench_trunk(engine, read_volume(found.structural))
    return case | {
        "bundle": f"{engine.bundle.name} {engine.bundle.version}",
        "trunk_s": trunk,
        "import_s": process_seconds(["-c", "import triage"]),
        "help_s": process_seconds(["-m", "triage", "--help"]),
        "bundle_mb": sum(p.stat().st_size for p in inputs.bundle.rglob("*") if p.is_file()) / 1e6,
        "machine": f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads",
    }


def write(results: Results, folder: Path) -> str:
    """The page."""
    stages = results["stages_s"]
    total = sum(took for stage, took in stages.items() if not stage.startswith(" "))
    rows = [[stage.replace("  ", "&nbsp;&nbsp;"), f"{took:.2f} s", ""] for stage, took in stages.items()]
    rows += [
        ["**sum**", f"**{total:.1f} s**", against(total, 15, "s")],
        ["peak memory", f"{results['peak_gib']:.2f} GiB", against(results["peak_gib"], 3, "GiB")],
        ["`import triage`", f"{results['import_s']:.2f} s", against(results["import_s"], 0.5, "s")],
        ["`brain-triage --help`", f"{results['help_s']:.2f} s", against(results["help_s"], 0.5, "s")],
        ["bundle", f"{results['bundle_mb']:.1f} MB", against(results["bundle_mb"], 36, "MB")],
    ]
    eager, fast = results["trunk_s"]
    return PAGE.format(
        machine=results["machine"],
        stages=table(["stage", "median", "budget"], rows),
        bundle=results["bundle"],
        trunk=f"in eager torch {eager:.2f} s, in OpenVINO {fast:.2f} s: a ratio of {eager / fast:.2f}",
    )


def against(value: float, budget: float, unit: str = "") -> str:
    """The budget, and whether it is met."""
    return f"{budget:g} {unit}".strip() + ("" if value <= budget else ": **not met**")


BENCH = Bench(name="cost", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
