"""What a reader is told of a flagged case."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.verdicts import a_flagged_report, a_flagged_verdict, an_interpretation, signal_readings
from triage.report.as_json import contents
from triage.report.explanation import explain, named, spot_title
from triage.report.text import number, percent
from triage.verdict import Interpretation, Side

PRIOR: dict[str, Any] = contents(a_flagged_report())["uncertainty"]["prior"]


def plain(sentences: list[str]) -> str:
    return " ".join(sentences).replace("\N{NO-BREAK SPACE}", " ")


def test_the_structures_are_named_with_side_share_and_volume_and_small_shares_are_left_out() -> None:
    (where, *_) = explain(a_flagged_verdict(), PRIOR)

    assert plain([where]) == (
        "62 % of the unusual entropy lies in the right lesion (1 % of the brain), "
        "30 % in the cortical grey matter of both sides (43 % of the brain)."
    )


def test_the_slices_that_the_worst_place_reaches_are_counted_from_one_and_the_misfit_is_told() -> None:
    text = plain(explain(a_flagged_verdict(), PRIOR))

    assert "The worst place reaches slices 41 to 53." in text
    assert "Around 2 % of the brain anatomy fits worse here than at an unknown pose" in text


def test_a_report_from_before_misfit_and_slices_tells_neither() -> None:
    before = Interpretation(shares=(), spots=())

    text = plain(explain(a_flagged_verdict(interpretation=before), PRIOR))

    assert "slices" not in text
    assert "unknown pose" not in text


def test_the_prior_is_told_with_the_entropy_before_and_after_and_what_it_relabelled() -> None:
    """The prior of the phantom relabelled one in five voxels of the hippocampus, and nothing else."""
    text = plain(explain(a_flagged_verdict(), PRIOR))

    assert "The anatomical prior lowered the mean entropy from 0.210 to 0.180 nats" in text
    assert "most often to hippocampus and amygdala (20 % of it)" in text


@pytest.mark.parametrize(("after", "word"), [(0.18, "lowered"), (0.25, "raised")])
def test_a_prior_can_also_raise_the_entropy(after: float, word: str) -> None:
    assert f"prior {word} the mean entropy" in plain(explain(a_flagged_verdict(), {**PRIOR, "entropy_after": after}))


def test_a_prior_that_changed_no_label_says_so() -> None:
    silent = {**PRIOR, "structures": [{**row, "relabelled": 0.0} for row in PRIOR["structures"]]}

    assert "nats and changed no label." in plain(explain(a_flagged_verdict(), silent))


@pytest.mark.parametrize("prior", [None, {**PRIOR, "entropy_before": None}])
def test_a_prior_that_is_not_known_is_not_told(prior: dict[str, Any] | None) -> None:
    assert "prior" not in plain(explain(a_flagged_verdict(), prior))


def test_the_signal_that_moved_the_score_most_is_told_with_its_share() -> None:
    verdict = a_flagged_verdict(signals=signal_readings((0.0, 0.0, 0.6, 0.2, 0.0, 0.0, 0.0, 0.0)))

    assert "“Entropy of the worst 10 mm patch” makes up 75 % of the score." in plain(explain(verdict, None))


def test_a_signal_that_could_not_be_computed_is_named() -> None:
    first, *rest = signal_readings()

    text = plain(explain(a_flagged_verdict(signals=(replace(first, part=math.nan), *rest)), None))

    assert "Could not be computed, which alone sends the case to a human: Entropy along boundaries." in text


def test_without_a_brain_there_is_no_place_and_without_unusual_entropy_no_structure() -> None:
    (nowhere, *_) = explain(a_flagged_verdict(interpretation=None), None)
    (usual, *_) = explain(a_flagged_verdict(interpretation=Interpretation(shares=(), spots=())), None)

    assert nowhere == "No brain was found that the doubt could lie in."
    assert usual.startswith("No structure carries more entropy than is usual")


@pytest.mark.parametrize(
    ("structure", "side", "name"),
    [
        ("Brainstem and ventral DC", Side.MIDLINE, "brainstem and ventral DC"),
        ("Lesion", Side.LEFT, "left lesion"),
        ("Lateral ventricles", Side.BOTH, "lateral ventricles of both sides"),
        ("Cortical grey matter", Side.UNKNOWN, "cortical grey matter"),
    ],
)
def test_a_structure_is_named_with_its_side(structure: str, side: Side, name: str) -> None:
    assert named(structure, side) == name


def test_a_spot_has_its_side_in_its_title() -> None:
    spot = an_interpretation().spots[0]

    assert spot_title(spot) == "Right lesion"
    assert spot_title(replace(spot, side=Side.MIDLINE)) == "Lesion, midline"


def test_numbers_are_as_on_the_rest_of_the_page() -> None:
    assert percent(1.0) == ">99\N{NO-BREAK SPACE}%"
    assert number(-0.5, 1) == "\N{MINUS SIGN}0.5"
