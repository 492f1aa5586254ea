"""Every page: `make bench`, or `python -m pipelines.bench`. One page alone: `python -m pipelines.bench.<name>`."""

from pipelines.bench import (
    active,
    anytime,
    capacity,
    challenge,
    classification,
    cost,
    doubt,
    explain,
    first_slice,
    gate,
    last_block,
    monitor,
    posteriors,
    predictive,
    prior,
    promise,
    review_queue,
    segmentation,
    stress,
)
from pipelines.bench.page import Bench, run

BENCHES: tuple[Bench, ...] = (
    cost.BENCH,
    predictive.BENCH,
    segmentation.BENCH,
    posteriors.BENCH,
    doubt.BENCH,
    classification.BENCH,
    last_block.BENCH,
    prior.BENCH,
    promise.BENCH,
    gate.BENCH,
    anytime.BENCH,
    stress.BENCH,
    explain.BENCH,
    capacity.BENCH,
    review_queue.BENCH,
    first_slice.BENCH,
    monitor.BENCH,
    active.BENCH,
    challenge.BENCH,
)
"""In the order in which they are made. A new page is a module with a BENCH, and a row here."""

if __name__ == "__main__":
    run(BENCHES)
