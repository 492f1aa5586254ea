"""The certified gate on scans that it was not calibrated on: what it accepts, what it flags, and beside simpler scores.

python -m pipelines.bench.gate --data ../shared/data --cache CACHE
"""

import json
import math
from collections.abc import Sequence

from pipelines.bench.gate_figures import Row
from pipelines.bench.gate_page import write
from pipelines.bench.page import Bench, Inputs, Results, run
from pipelines.certificate import read_habits
from pipelines.engine import load_engine
from pipelines.failure import missed
from pipelines.judged import why
from pipelines.mixture import draw, in_words
from pipelines.population import groups_of
from pipelines.scans import read_scans
from pipelines.scored import Item, Scored, scorer_of
from triage.findings import NOT_ASSESSABLE
from triage.gate.operating_point import FILE, OperatingPoint, read_operating_point
from triage.gate.signals import SIGNALS


def measure(inputs: Inputs) -> Results:
    """Test and pathology, each subject damaged as the mixture draws, and the test split as it is."""
    engine, point = load_engine(inputs.bundle), read_operating_point(inputs.bundle / FILE)
    scans = [scan for scan in read_scans(inputs.cases, ["test", "pathology"]) if scan.labels is not None]
    items = {
        "cases": [Item(scan=scan, damage=draw(scan.subject)) for scan in scans],
        "clean": [Item(scan=scan) for scan in scans if scan.split == "test"],
    }
    scorer = scorer_of(inputs.bundle, engine, inputs.cache)
    habits = read_habits(inputs.bundle)
    found = json.loads((inputs.bundle / FILE).read_text())
    return {
        "bundle": f"{engine.bundle.name} {engine.bundle.version}",
        "promise": point.promise,
        "evaluation": found.get("evaluation"),
        "mixture": in_words(),
        **{name: [row(one, point, why(one, habits)) for one in scorer(own)] for name, own in items.items()},
    }


def row(one: Scored, point: OperatingPoint, failed: Sequence[str]) -> Row:
    """A case with its scores. gate: infinity where what the scan shows sends it to a human whatever its score.

    An age outside of the population does that too, but is no score: it counts for `accepted` alone.
    """
    parts = {name: point.limits[name].part(one.signals.get(name, math.nan)) for name in SIGNALS if name in point.limits}
    outside = bool(one.refused) or one.like == NOT_ASSESSABLE.key
    total = math.inf if outside else sum(parts.values())
    of_age = point.speaks_for(one.item.scan.age_years)
    return {
        "case": one.item.scan.name,
        "subject": one.item.scan.subject,
        "split": one.item.scan.split,
        "damage": one.item.damage.name or "as it is",
        "age": groups_of(one.item.scan)["age"],
        "of_age": of_age,
        "refused": one.refused,
        "failed": list(failed),
        "missed": list(missed(one.measured)) if one.measured else [],
        "parts": parts,
        "gate": total,
        "accepted": bool(point.accepts and of_age and total <= point.score_limit),
        **one.baselines,
    }


BENCH = Bench(name="gate", measure=measure, write=write)

if __name__ == "__main__":
    run((BENCH,))
