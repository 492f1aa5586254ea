"""What the page of the last block says follows from its figures."""

import math
from typing import Any

import pytest

from pipelines.bench.last_block_page import DAMAGE, SCAN, STRUCTURES, gates_say, members_say, rise, write


def _dice(mean: float) -> dict[str, float]:
    """Structures spread around a mean."""
    step = 0.01
    return {key: mean + step * (n - (len(STRUCTURES) - 1) / 2) for n, key in enumerate(STRUCTURES)} | {"lesion_ml": 1.5}


def _gates(channels: int, dice: float, flops: int, seconds: float) -> dict[str, Any]:
    return {
        "penalty_nats": 32.0 - channels,
        "channels": channels,
        "parameters": 10 * channels,
        "flops": flops,
        "seconds": seconds,
        "dice": _dice(dice),
    }


GATES = [_gates(32, 0.85, 100, 3.0), _gates(20, 0.845, 95, 2.7), _gates(10, 0.80, 90, 2.4)]


def _shifts(factor: dict[str, float]) -> list[dict[str, Any]]:
    """The information of the second scan rises by the square of the first one's factor."""
    return [
        {
            "scan": scan,
            "damage": damage,
            "dice": {"head posterior": _dice(0.8)},
            "doubt": {"head posterior": {"information": 0.01 * factor.get(damage, 1.0) ** (n + 1), "entropy": 0.2}},
        }
        for n, scan in enumerate(SCAN)
        for damage in DAMAGE
    ]


def test_the_fewest_channels_that_lose_less_than_a_hundredth_of_dice_are_named_with_what_they_save():
    said = gates_say(GATES)

    assert "20 of 32 channels lose 0.005 Dice and save 5% of the work and 10% of the CPU time" in said


@pytest.mark.parametrize(("dice", "verdict"), [(0.84, "within"), (0.82, "outside")])
def test_a_member_is_judged_by_how_far_it_is_behind_the_network(dice, verdict):
    rows = {"network": [_dice(0.85)], "on_1": [_dice(dice)], "on_2": [_dice(0.86)], "ensemble": [_dice(0.86)]}

    said = members_say(rows)

    assert f"{0.85 - dice:.3f} Dice behind the network, {verdict} the .02" in said
    assert "The ensemble is at +0.010" in said


def test_the_rise_of_the_information_is_the_geometric_mean_over_the_scans():
    rows = _shifts({"noise": 3.0})

    assert rise(rows, "noise", "head posterior") == pytest.approx(math.sqrt(3 * 9))
    assert rise(rows, "thick_slices", "head posterior") == pytest.approx(1)


def test_the_page_has_a_row_for_every_model_and_its_plot(tmp_path):
    results = {
        "bundle": "b 1",
        "gates": GATES,
        "work": {"network": 10, "before_last_block": 6},
        "dice": {"network": [_dice(0.85)], "on_1": [_dice(0.84)], "ensemble": [_dice(0.86)]},
        "shifts": _shifts({}),
    }

    page = write(results, tmp_path)

    assert "each adds .40 of a pass" in page
    assert all(f"\n| {name} | " in page for name in ("network", "on 1", "ensemble", "no gates", *SCAN.values()))
    assert (tmp_path / "last_block.png").stat().st_size < 150_000
