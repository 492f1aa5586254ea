"""Measure what a case costs here, side by side: `make bench`.

Times on a shared machine are noisy, so what counts are the ratios: each pair is measured in turns in this one run.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from models.predictive import augment, predict
from models.runtime import openvino_runner, torch_runner
from pipelines.engine import BRAIN_CLASSES, SAMPLES, BundleEngine, load_engine
from pipelines.evaluate import read_nifti
from pipelines.preprocess import conform
from pipelines.settings import SHIPPED_BUNDLE
from triage.case import Volume


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


def bench_case(engine: BundleEngine, volume: Volume, repeats: int, console: Console) -> None:
    """One case stage by stage, then the two ratios of the design's budget."""
    engine.predict(volume, seed=0)
    runs = [engine.predict(volume, seed=0).timings_s for _ in range(repeats)]
    table = Table("stage", "seconds (median)", title=f"One case, {'x'.join(map(str, volume.array.shape))} voxels")
    for stage in runs[0]:
        table.add_row(stage, f"{statistics.median(r[stage] for r in runs):.2f}")
    table.add_row("sum", f"{statistics.median(sum(r.values()) for r in runs):.2f}")
    table.add_row(
        "peak memory of this process", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
    )
    console.print(table)

    conformed = conform(volume)
    image = torch.from_numpy(conformed.image)
    reference, fast = torch_runner(engine.model.trunk), openvino_runner(engine.model.trunk)
    eager, openvino = in_turns(lambda: reference(image), lambda: fast(image), repeats)
    cells = augment(fast(image))
    ratio = torch.ones(len(engine.model.classes) - 1, cells.shape[1])
    mean = engine.model.posterior.mean
    many = engine.model.posterior.sample(SAMPLES, seed=0)
    single, full = in_turns(
        lambda: predict(augment(fast(image)), mean, many[:0], ratio, BRAIN_CLASSES),
        lambda: predict(augment(fast(image)), mean, many, ratio, BRAIN_CLASSES),
        repeats,
    )
    pairs = Table("pair, in turns", "first", "second", "ratio")
    pairs.add_row("trunk: eager torch / OpenVINO", f"{eager:.2f} s", f"{openvino:.2f} s", f"{eager / openvino:.2f}")
    pairs.add_row(
        f"{SAMPLES} posterior samples / one pass",
        f"{full:.2f} s",
        f"{single:.2f} s",
        f"{full / single:.2f} (budget 1.3)",
    )
    console.print(pairs)


def bench_start(console: Console) -> None:
    """What starting costs, and what the bundle weighs."""
    size = sum(p.stat().st_size for p in SHIPPED_BUNDLE.rglob("*") if p.is_file()) / 1e6
    table = Table("start", "measured", "budget")
    table.add_row("import triage", f"{process_seconds(['-c', 'import triage']):.2f} s", "0.5 s")
    table.add_row("brain-triage --help", f"{process_seconds(['-m', 'triage', '--help']):.2f} s", "0.5 s")
    table.add_row("shipped bundle", f"{size:.1f} MB", "36 MB")
    console.print(table)


def main() -> None:
    """Bench the embedded template, or a NIfTI file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, help="a NIfTI file; the embedded template when none is given")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    console = Console()
    console.print(f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads")
    bench_start(console)
    bench_case(load_engine(SHIPPED_BUNDLE), _volume(args.image), args.repeats, console)


def _volume(path: Path | None) -> Volume:
    if path is not None:
        return read_nifti(path)
    from importlib.resources import files

    name = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    return read_nifti(Path(str(files("nilearn"))) / "datasets" / "data" / name)


if __name__ == "__main__":
    main()
