"""The operating point: what its limits mean, and that a damaged one decides nothing."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.errors import TriageError
from triage.gate.operating_point import FILE, VERSION, Limit, read_operating_point
from triage.gate.rules import load_gate
from triage.gate.signals import FAR_MM, NOT_IN_EVERY_BUNDLE, SIGNALS

Found = dict[str, Any]

numbers = st.floats(-1e6, 1e6)
limits = st.builds(lambda low, gap: Limit(typical=low, limit=low + gap), numbers, st.floats(1e-3, 1e6))


def a_point() -> Found:
    """What a good operating_point.json says."""
    return {
        "version": VERSION,
        "certified": False,
        "accepts": True,
        "promise": "Nothing is promised.",
        "population": {"weightings": ["T1"], "youngest_years": 18},
        "score_limit": 1.0,
        "limits": {name: {"typical": 0.5, "limit": 1.5} for name in SIGNALS},
        "usual_entropy_nats": [0.4] * (FAR_MM + 1),
    }


def written(found: object, folder: Path) -> Path:
    path = folder / FILE
    path.write_text(json.dumps(found))
    return path


def without(name: str) -> Callable[[Found], object]:
    return lambda found: {key: value for key, value in found.items() if key != name}


def changed(**changes: object) -> Callable[[Found], object]:
    return lambda found: {**found, **changes}


def limits_without(name: str) -> Callable[[Found], object]:
    return lambda found: {**found, "limits": without(name)(found["limits"])}


def with_limit(name: str, limit: object) -> Callable[[Found], object]:
    return lambda found: {**found, "limits": {**found["limits"], name: limit}}


DAMAGED: dict[str, Callable[[Found], object]] = {
    **{f"no {key}": without(key) for key in a_point()},
    **{f"no limit for {name}": limits_without(name) for name in sorted(set(SIGNALS) - NOT_IN_EVERY_BUNDLE)},
    "a limit for an unknown signal": with_limit("mood", {"typical": 0, "limit": 1}),
    "a limit that is not a number": with_limit("worst_patch", {"typical": 0, "limit": math.nan}),
    "an infinite limit": with_limit("worst_patch", {"typical": 0, "limit": math.inf}),
    "a limit under typical": with_limit("worst_patch", {"typical": 1, "limit": 0.5}),
    "a limit of nothing": with_limit("worst_patch", None),
    "limits as a list": changed(limits=[1, 2, 3]),
    "another version": changed(version=VERSION + 1),
    "a score limit that is not a number": changed(score_limit=math.nan),
    "an age that is not a number": changed(population={"weightings": ["T1"], "youngest_years": math.nan}),
    "an oldest age that is not a number": changed(
        population={"weightings": ["T1"], "youngest_years": 18, "oldest_years": math.nan}
    ),
    "an oldest age under the youngest": changed(
        population={"weightings": ["T1"], "youngest_years": 18, "oldest_years": 17}
    ),
    "a weighting that is none": changed(population={"weightings": ["T9"], "youngest_years": 18}),
    "weightings as one word": changed(population={"weightings": "T1", "youngest_years": 18}),
    "usual entropy of another length": changed(usual_entropy_nats=[0.4]),
    "usual entropy that is not a number": changed(usual_entropy_nats=[math.nan] * (FAR_MM + 1)),
    "certified in words": changed(certified="false"),
    "accepts in words": changed(accepts="false"),
    "certified, but accepts nothing": changed(certified=True, accepts=False),
    "a list": lambda _found: [],
    "nothing": lambda _found: None,
}


@given(limit=limits, below=st.floats(0, 1e6))
def test_a_value_up_to_typical_adds_nothing(limit: Limit, below: float) -> None:
    assert limit.part(limit.typical - below) == 0


@given(limit=limits)
def test_a_value_at_its_limit_alone_fills_the_score(limit: Limit) -> None:
    assert limit.part(limit.limit) == 1


@given(limit=limits, values=st.lists(st.floats(allow_nan=False, min_value=-1e300), min_size=2, max_size=2))
def test_a_larger_value_never_adds_less(limit: Limit, values: list[float]) -> None:
    low, high = sorted(values)

    assert limit.part(low) <= limit.part(high)


@given(limit=limits)
def test_what_is_not_a_number_has_no_part(limit: Limit) -> None:
    assert math.isnan(limit.part(math.nan))


@given(limit=limits)
def test_minus_infinity_is_an_overflow_not_a_good_scan(limit: Limit) -> None:
    assert math.isnan(limit.part(-math.inf))


@given(low=st.floats(), high=st.floats())
def test_a_limit_is_finite_and_above_typical_or_cannot_be_built(low: float, high: float) -> None:
    sound = 0 < high - low < math.inf
    if sound:
        assert Limit(typical=low, limit=high).part(high) > 0
    else:
        with pytest.raises(ValueError, match="finite and above typical"):
            Limit(typical=low, limit=high)


def test_a_sound_operating_point_is_read_as_written(tmp_path: Path) -> None:
    point = read_operating_point(written(a_point(), tmp_path))

    assert set(point.limits) == set(SIGNALS)
    assert point.limits["worst_patch"] == Limit(typical=0.5, limit=1.5)
    assert point.weightings == {"T1"}
    assert (point.score_limit, point.youngest_years, point.certified) == (1.0, 18.0, False)
    assert point.usual_entropy.tolist() == [0.4] * (FAR_MM + 1)


def test_a_point_of_version_1_accepts_since_it_could_not_say_otherwise(tmp_path: Path) -> None:
    older = without("accepts")(a_point() | {"version": 1})

    assert read_operating_point(written(older, tmp_path)).accepts


@pytest.mark.parametrize("stated", [{}, {"oldest_years": None}, {"oldest_years": 74}])
def test_the_oldest_age_is_unbounded_where_none_is_stated(stated: Found, tmp_path: Path) -> None:
    found = a_point()
    found["population"] |= stated

    point = read_operating_point(written(found, tmp_path))

    assert point.oldest_years == (stated.get("oldest_years") or math.inf)
    assert point.ages == ("from 18 to 74 years" if stated.get("oldest_years") else "from 18 years")


def test_the_groups_that_a_promise_was_shown_for_are_those_of_its_evaluation(tmp_path: Path) -> None:
    groups = [{"group": "vendor GE", "covered": False}, {"group": "vendor Philips", "covered": True}]

    assert read_operating_point(written(a_point(), tmp_path)).covered == frozenset()
    assert read_operating_point(written(a_point() | {"evaluation": {"groups": groups}}, tmp_path)).covered == {
        "vendor Philips"
    }


def test_what_the_limits_were_made_from_may_stand_beside_them(tmp_path: Path) -> None:
    point = read_operating_point(written(a_point() | {"made": {"n": 11}}, tmp_path))

    assert point.promise == "Nothing is promised."


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_operating_point_is_an_error_that_says_what_to_do(
    damage: Callable[[Found], object], tmp_path: Path
) -> None:
    path = written(damage(a_point()), tmp_path)

    with pytest.raises(TriageError, match=FILE) as caught:
        read_operating_point(path)
    assert caught.value.do == "Take the bundle from its source again."


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b'{"version": 1}'])
def test_a_file_that_cannot_be_read_is_an_error_that_says_what_to_do(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)

    with pytest.raises(TriageError, match="from its source again"):
        read_operating_point(tmp_path / FILE)


def test_a_bundle_without_an_operating_point_has_no_gate(tmp_path: Path) -> None:
    with pytest.raises(TriageError, match=FILE):
        load_gate(tmp_path)


def test_the_gate_of_a_bundle_repeats_its_promise(tmp_path: Path) -> None:
    written(a_point(), tmp_path)

    assert load_gate(tmp_path).promise == "Nothing is promised."
