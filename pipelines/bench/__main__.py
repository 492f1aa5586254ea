"""Every page: `make bench`, or `python -m pipelines.bench`. One page alone: `python -m pipelines.bench.<name>`."""

from pipelines.bench import cost
from pipelines.bench.page import Bench, run

BENCHES: tuple[Bench, ...] = (cost.BENCH,)
"""In the order in which they are made. A new page is a module with a BENCH, and a row here."""

if __name__ == "__main__":
    run(BENCHES)
