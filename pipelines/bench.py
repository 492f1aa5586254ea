"""Measure what a case costs here, side by side: `make bench`.

Times on a shared machine are noisy, so what counts are the ratios: each pair is measured in turns in this one run.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from models.network import SUBVOXELS
from models.predictive import augment, predict
from models.runtime import openvino_runner, torch_runner
from pipelines.engine import BRAIN_CLASSES, SAMPLES, BundleEngine, load_engine
from pipelines.preprocess import conform
from pipelines.run import find_cases
from pipelines.run_case import Tools, run_case
from pipelines.sample import make_sample_inbox
from pipelines.settings import SHIPPED_BUNDLE, Settings
from triage.case import Volume
from triage.gate.rules import load_gate, refuse
from triage.intake import read_volume
from triage.report import WRITERS
from triage.review import open_queue


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def in_turns(first: Callable[[], object], second: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median wall times of two pieces of work, measured alternately after one warm-up each."""
    first(), second()
    pairs = [(seconds(first, 1), seconds(second, 1)) for _ in range(repeats)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def process_seconds(arguments: list[str]) -> float:
    """Best of three wall times of a fresh Python process."""
    command = [sys.executable, *arguments]
    return min(seconds(lambda: subprocess.run(command, check=True, capture_output=True), 1) for _ in range(3))  # noqa: S603


def timed_case(inbox: Path, place: Path, engine: BundleEngine) -> list[tuple[str, float]]:
    """Seconds of every stage of one case, from its folder to its report; parts of a stage are indented."""
    start = time.perf_counter()
    settings = Settings(out=place / "out")
    (case,) = find_cases(inbox, settings).cases
    entered: list[tuple[str, float]] = [("inventory", start)]
    place.mkdir(exist_ok=True)
    with closing(open_queue(f"sqlite:///{place / 'review.db'}")) as queue:
        gate = load_gate(settings.bundle)
        tools = Tools(read=read_volume, engine=engine, gate=gate, refuse=refuse, writers=WRITERS, queue=queue)
        report = run_case(case, tools, folder=place, enter=lambda stage: entered.append((stage, time.perf_counter())))
    ends = [*(begun for _, begun in entered[1:]), time.perf_counter()]
    marks = [(stage, end - begun) for (stage, begun), end in zip(entered, ends, strict=True)]
    inside = [(f"  {part}", took) for part, took in (report.prediction.timings_s if report.prediction else {}).items()]
    return [*marks, *inside]


def bench_case(inbox: Path, place: Path, engine: BundleEngine, repeats: int, console: Console) -> None:
    """From a folder of DICOM to the report, stage by stage, with the peak memory of the process."""
    runs = [dict(timed_case(inbox, place / str(turn), engine)) for turn in range(repeats + 1)][1:]
    medians = {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}
    table = Table("stage", "seconds (median)", title="One case from DICOM to report; indented: parts of predict")
    for stage, took in medians.items():
        table.add_row(stage, f"{took:.2f}")
    total = sum(took for stage, took in medians.items() if not stage.startswith(" "))
    table.add_row("sum", f"{total:.2f} (budget 15)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    table.add_row("peak memory", f"{peak:.2f} GiB (budget 3)")
    console.print(table)


def bench_pairs(engine: BundleEngine, volume: Volume, repeats: int, console: Console) -> None:
    """The two ratios of the design's budget, each pair measured in turns."""
    conformed = conform(volume)
    image = torch.from_numpy(conformed.image)
    reference, fast = torch_runner(engine.model.trunk), openvino_runner(engine.model.trunk)
    eager, openvino = in_turns(lambda: reference(image), lambda: fast(image), repeats)
    ratio = torch.ones(len(engine.model.classes) - 1, image.numel() // SUBVOXELS)
    mean = engine.model.posterior.mean
    many = engine.model.posterior.sample(SAMPLES, seed=0)
    single, full = in_turns(
        lambda: predict(augment(fast(image)), mean, many[:0], ratio, BRAIN_CLASSES),
        lambda: predict(augment(fast(image)), mean, many, ratio, BRAIN_CLASSES),
        repeats,
    )
    table = Table("pair, in turns", "first", "second", "ratio")
    table.add_row("trunk: eager torch / OpenVINO", f"{eager:.2f} s", f"{openvino:.2f} s", f"{eager / openvino:.2f}")
    cost = f"{full / single:.2f} (budget 1.3)"
    table.add_row(f"{SAMPLES} posterior samples / one pass", f"{full:.2f} s", f"{single:.2f} s", cost)
    console.print(table)


def bench_start(console: Console) -> None:
    """What starting costs, and what the bundle weighs."""
    size = sum(p.stat().st_size for p in SHIPPED_BUNDLE.rglob("*") if p.is_file()) / 1e6
    table = Table("start", "measured", "budget")
    table.add_row("import triage", f"{process_seconds(['-c', 'import triage']):.2f} s", "0.5 s")
    table.add_row("brain-triage --help", f"{process_seconds(['-m', 'triage', '--help']):.2f} s", "0.5 s")
    table.add_row("shipped bundle", f"{size:.1f} MB", "36 MB")
    console.print(table)


def main() -> None:
    """Bench one case of the embedded sample, or a folder that holds one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inbox", type=Path, help="a folder with one case; a sample case when none is given")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    console = Console()
    console.print(f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        inbox = args.inbox or make_sample_inbox(place / "inbox", only=("ana",)) / "ana"
        bench_start(console)
        engine = load_engine(SHIPPED_BUNDLE)
        bench_case(inbox, place, engine, args.repeats, console)
        (case,) = find_cases(inbox, Settings(out=place / "out")).cases
        bench_pairs(engine, read_volume(case.structural), args.repeats, console)


if __name__ == "__main__":
    main()
