"""Training: a kill and a resume change nothing, not even the last bit."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from models.losses import dice_and_cross_entropy
from models.training import CHECKPOINT, Schedule, Training, begin, learning_rate, resume, save, seed_of, step

SCHEDULE = Schedule(iterations=8, seed=5, warm_up=2)
LOSS = dice_and_cross_entropy()


def net() -> nn.Module:
    """Small, with everything that could hide a state: normalisation and dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv3d(1, 6, 3, padding=1), nn.InstanceNorm3d(6, affine=True), nn.Dropout3d(0.5), nn.Conv3d(6, 3, 1)
        )


def example(iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed_of(SCHEDULE.seed, iteration))
    classes = torch.randint(3, (1, 8, 8, 8), generator=generator)
    return classes[:, None] + 0.3 * torch.randn(1, 1, 8, 8, 8, generator=generator), classes


def trained(training: Training, until: int, schedule: Schedule = SCHEDULE) -> list[float]:
    return [step(training, *example(i), LOSS, schedule) for i in range(training.iteration, until)]


def everything(training: Training) -> dict[str, torch.Tensor]:
    moments = {
        f"{name}.{moment}": value
        for name, parameter in training.net.named_parameters()
        for moment, value in training.optimiser.state[parameter].items()
    }
    return {**training.net.state_dict(), **{f"ema.{k}": v for k, v in training.ema.items()}, **moments}


@pytest.mark.parametrize("killed_at", [1, 3, 7])
def test_a_run_that_was_killed_and_resumed_is_the_uninterrupted_one_to_the_last_bit(tmp_path: Path, killed_at: int):
    whole, first, second = (begin(net(), SCHEDULE) for _ in range(3))
    losses = trained(whole, 8)
    trained(first, killed_at)
    save(first, tmp_path)
    trained(first, min(8, killed_at + 2))  # lost: done after the last checkpoint
    torch.rand(7)  # another process has other random numbers

    resume(second, tmp_path)
    assert second.iteration == killed_at
    assert trained(second, 8) == losses[killed_at:]
    assert everything(second).keys() == everything(whole).keys()
    assert all(torch.equal(value, everything(whole)[name]) for name, value in everything(second).items())


def test_another_seed_trains_another_network():
    one, other = begin(net(), SCHEDULE), begin(net(), SCHEDULE)
    trained(one, 2)
    trained(other, 2, Schedule(iterations=8, seed=6, warm_up=2))

    assert not torch.equal(one.net[0].weight, other.net[0].weight)  # dropout alone differs


def test_a_step_leaves_torchs_own_random_numbers_alone():
    training = begin(net(), SCHEDULE)
    before = torch.random.get_rng_state()

    trained(training, 1)

    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_a_checkpoint_a_run_begins_at_the_beginning(tmp_path: Path):
    training = begin(net(), SCHEDULE)

    resume(training, tmp_path)

    assert training.iteration == 0


def test_a_kill_while_the_checkpoint_is_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    training = begin(net(), SCHEDULE)
    trained(training, 1)
    save(training, tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    trained(training, 2)
    monkeypatch.setattr(Path, "replace", killed)

    with pytest.raises(KeyboardInterrupt):
        save(training, tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_loss_falls():
    schedule = Schedule(iterations=150, warm_up=2, learning_rate=0.05)

    losses = trained(begin(net(), schedule), 150, schedule)

    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_the_averaged_weights_are_the_moving_average_of_the_weights():
    training = begin(net(), SCHEDULE)
    expected = training.net[0].weight.detach().clone()
    for i in range(3):
        trained(training, i + 1)
        decay = min(SCHEDULE.ema, (i + 1) / (i + 10))
        expected = decay * expected + (1 - decay) * training.net[0].weight.detach()

    torch.testing.assert_close(training.ema["0.weight"], expected)


def test_a_gradient_that_is_too_long_is_cut_to_the_clip():
    training = begin(net(), SCHEDULE)
    step(training, *example(0), lambda logits, classes: 1e6 * LOSS(logits, classes), SCHEDULE)

    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in training.net.parameters()))
    assert norm == pytest.approx(SCHEDULE.clip, rel=1e-4)


def test_a_loss_that_is_not_a_number_stops_the_training_before_it_ruins_the_weights():
    training = begin(net(), SCHEDULE)
    before = training.net[0].weight.detach().clone()

    with pytest.raises(ArithmeticError, match="iteration 0 is nan"):
        step(training, *example(0), lambda logits, classes: math.nan * LOSS(logits, classes), SCHEDULE)
    assert torch.equal(training.net[0].weight, before)
    assert training.iteration == 0


def test_the_learning_rate_warms_up_and_falls_along_a_cosine_to_its_floor():
    schedule = Schedule(iterations=1000, warm_up=10, learning_rate=1.0, floor=0.1)

    assert learning_rate(schedule, 0) == pytest.approx(0.1)
    assert learning_rate(schedule, 500) == pytest.approx((1 + 0.1) / 2)
    assert learning_rate(schedule, 1000) == pytest.approx(0.1)
    assert all(learning_rate(schedule, i) > learning_rate(schedule, i + 1) for i in range(9, 1000))


def test_seeds_of_neighbouring_iterations_and_runs_differ():
    seeds = {seed_of(seed, iteration) for seed in range(30) for iteration in range(30)}

    assert len(seeds) == 900
