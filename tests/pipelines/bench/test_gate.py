import json
import math
from dataclasses import replace

import numpy as np
import pytest

from pipelines.bench.gate import BENCH, row
from pipelines.bench.gate_figures import at_best, caught, caught_at, losses, values, with_lesions
from pipelines.bench.page import produce
from pipelines.mixture import draw
from pipelines.scored import Item
from tests.pipelines.scored_cases import a_scan, scored
from tests.triage.gate.scenes import a_gate
from triage.findings import NOT_ASSESSABLE


def a_row(number, score, failed, split="test", damage="noise 3", missed=()):
    return {
        "case": f"c{number}",
        "subject": f"s{number}",
        "split": split,
        "damage": damage,
        "age": "18 to 39",
        "of_age": True,
        "refused": "",
        "failed": ["deep grey: Dice 0.5"] if failed else [],
        "missed": missed,
        "parts": {},
        "gate": score,
        "accepted": score <= 1,
        "softmax_array": 0.1,
        "entropy_brain": None if number == 3 else 0.2 + 0.01 * number,
    }


ROWS = [
    a_row(k, score, failed)
    for k, (score, failed) in enumerate([(0.2, 0), (3, 1), (0.5, 0), (2, 1), (0.9, 1), (1.5, 0)])
]


def test_a_score_that_is_no_number_is_the_worst():
    assert values(ROWS, "entropy_brain")[3] == math.inf


def test_the_strictest_limits_catch_the_worst_cases_first():
    flagged, found = caught(ROWS, "gate")

    assert flagged.tolist() == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert found.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3, 1, 1, 1])
    assert losses(ROWS).sum() == 3


@pytest.mark.parametrize(("flagged", "found"), [(0.0, 0.0), (0.2, 1 / 3), (1 / 3, 2 / 3), (1.0, 1.0)])
def test_failures_are_caught_within_what_may_be_flagged(flagged, found):
    assert caught_at(ROWS, "gate", flagged) == pytest.approx(found)


@pytest.mark.parametrize(("flagged", "share"), [(0.0, 0.0), (0.2, 1 / 3), (1 / 3, 2 / 3), (0.5, 1.0), (1.0, 1.0)])
def test_no_score_catches_more_failures_than_may_be_flagged(flagged, share):
    best = [{**one, "gate": float(bool(one["failed"]))} for one in ROWS]

    assert at_best(ROWS, flagged) == pytest.approx(share) == caught_at(best, "gate", flagged)


def test_a_missed_lesion_is_a_failure_where_it_is_asked_for():
    rows = [*ROWS, a_row(6, 5, False, missed=["1 of 1 lesions missed"])]

    assert losses(rows).tolist() == [0, 1, 0, 1, 1, 0, 0]
    assert losses(with_lesions(rows)).tolist() == [0, 1, 0, 1, 1, 0, 1]


def test_a_case_is_accepted_as_the_gate_would():
    point = a_gate().operating_point
    scan = a_scan(0, "test")
    good = replace(
        scored(Item(scan=scan, damage=draw(scan.subject)), np.random.default_rng(0)),
        signals={name: limit.typical for name, limit in point.limits.items()},
    )
    over = {name: limit.limit + 0.1 for name, limit in point.limits.items()}

    assert row(good, point, ())["accepted"]
    assert not row(replace(good, signals=over), point, ())["accepted"]
    assert not row(replace(good, signals={}), point, ())["accepted"]
    assert not row(replace(good, like=NOT_ASSESSABLE.key), point, ())["accepted"]
    assert not row(good, replace(point, accepts=False), ())["accepted"]
    assert not row(good, replace(point, oldest_years=scan.age_years - 1), ())["accepted"]


def test_the_page_names_every_accepted_case_that_failed(tmp_path):
    found = {
        "bundle": "a bundle 1",
        "promise": "Nothing.",
        "evaluation": {
            "levels": [],
            "lesion_levels": [],
            "groups": [],
            "splits": {},
            "failed": {"by_labels": {"manual labels at 1mm": {"deep_grey": {"dice": 0.75, "ratio": 1.02, "off": 0.4}}}},
        },
        "mixture": "as drawn",
        "cases": [
            *ROWS[:-1],
            a_row(5, 1.5, False, missed=["1 of 1 lesions missed"]),
            a_row(9, 0.1, False, "pathology", "as it is"),
        ],
        "clean": [a_row(k, 0.5, False, damage="as it is") for k in range(4)],
    }
    (tmp_path / "gate.json").write_text(json.dumps(found))

    page = produce(BENCH, None, tmp_path).read_text()

    assert "| c4 | noise 3 | .900 | deep grey: Dice 0.5 |" in page
    assert "| clean adult scans accepted | 4 | 80% | 100% | 100% to 100% | met |" in page
    assert "| test | 6 | 3 | 1 | 3 | 2 |" in page
    assert "| failures caught, 20% flagged, test, missed lesions counted | 4 |" in page
    assert "| manual labels at 1mm | deep grey | 0.75 | 1.02 | 40% |" in page
