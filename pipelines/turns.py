"""Wall times of pieces of work, measured in turns: on a shared machine only ratios of such times mean something."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Median wall time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def in_turns(*work: Callable[[], object], repeats: int) -> tuple[float, ...]:
    """Median wall time of each piece, after one warm-up each."""
    for piece in work:
        piece()
    rounds = [[seconds(piece) for piece in work] for _ in range(repeats)]
    return tuple(statistics.median(times) for times in zip(*rounds, strict=True))


def cpu_seconds(work: Callable[[], T]) -> tuple[T, float]:
    """What a piece of work gives, and the CPU time of this process that it took, over all threads."""
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def least_cpu_seconds(pieces: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """CPU seconds of each piece, the least of rounds in turns: what else a machine does only adds to them."""
    times = [{name: cpu_seconds(piece)[1] for name, piece in pieces.items()} for _ in range(rounds)]
    return {name: min(each[name] for each in times) for name in pieces}
