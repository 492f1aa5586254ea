"""The stress ladder on real labelled scans, and what may never be accepted.

python -m pipelines.bench.stress --data ../shared/data --cache CACHE
"""

from pathlib import Path

import numpy as np

from pipelines.bench import stress_text
from pipelines.bench.doubt_text import wrapped
from pipelines.bench.no_brains import never_accepted
from pipelines.bench.page import Bench, Inputs, Results, run
from pipelines.bench.stress_rows import SCANS, Probe, Row, as_t1, judged, open_probe, refuses, scans_of, scored
from pipelines.certificate import read_habits
from pipelines.degrade import DEGRADATIONS, LEVELS
from pipelines.scans import Scan
from pipelines.settings import SHIPPED_BUNDLE
from pipelines.stress import CLEAN, steps
from pipelines.stress_page import TRUE, dice_table, doubt_table, draw
from triage.case import Case
from triage.gate.operating_point import FILE, OperatingPoint, read_operating_point

PLOT = "stress.png"
NO_BRAIN = "no brain"
STEPS = steps(tuple(DEGRADATIONS), LEVELS)


def measure(inputs: Inputs) -> Results:
    """Every step of the scans, and what is no brain with the header of a scan."""
    probe, scans = open_probe(inputs), scans_of(inputs)
    path = [(CLEAN, 0), *STEPS]
    bundle = probe.engine.bundle
    return {
        "bundle": f"{bundle.name} {bundle.version}",
        "usual_entropy_nats": probe.gate.operating_point.usual_entropy.tolist(),
        "rows": [probe.of_scan(scan, subject, step) for scan, subject in scans for step in path],
        "scored": scored(inputs, probe.engine),
        "nothing": never(probe, inputs, scans[0][1].case),
    }


def never(probe: Probe, inputs: Inputs, like: Case) -> list[Row]:
    """What is no brain, labelled as one: each with the header of a scan."""
    rows = []
    for name, make in never_accepted(inputs.data).items():
        nothing = Scan(name=name, split="none", finding="", t1=Path(), labels=None, manual=False)
        rows.append(probe.of_scan(nothing, as_t1(name, make(), like), (NO_BRAIN, 0)))
    return rows


def write(results: Results, folder: Path) -> str:
    """The page and its figure, judged by the operating point that is shipped now."""
    point = read_operating_point(SHIPPED_BUNDLE / FILE)
    rungs = [judged(row, point) for row in results["rows"]]
    others = [judged(row, point) for row in results["scored"]]
    nothing = [judged(row, point) for row in results["nothing"]]
    habits = read_habits(SHIPPED_BUNDLE)
    draw(rungs, folder / PLOT, TRUE)
    page = stress_text.PAGE.format(
        bundle=results["bundle"],
        promise=point.promise + refuses(point),
        scans=" and ".join(SCANS),
        doubts=doubt_table(rungs),
        dices=dice_table(rungs),
        rises=stress_text.rises(rungs),
        usual=_usual(results, point),
        others=stress_text.by_level(others),
        error=stress_text.error(rungs, {scan: habits[labels] for scan, labels in SCANS.items() if labels in habits}),
        lost=stress_text.LOST,
        parts=stress_text.parts(rungs, point),
        falling=stress_text.falling(rungs),
        flip=stress_text.flip(rungs),
        nothing=stress_text.nothing(nothing),
    )
    return wrapped(page)


def _usual(results: Results, point: OperatingPoint) -> str:
    """One signal is measured against what is usual, so another operating point may take it for another value."""
    if np.allclose(results["usual_entropy_nats"], point.usual_entropy):
        return ""
    return "The worst patch is as measured against what was usual then; the operating point has changed that since.\n\n"


BENCH = Bench(name="stress", measure=measure, write=write)

if __name__ == "__main__":
    run((BENCH,))
