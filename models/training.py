"""Training that can be killed at any moment and goes on as if nothing had happened.

Every random number of iteration i comes from (seed, i), and a checkpoint is all that one iteration hands to the next:
on a CPU a run that was killed and resumed ends with the same weights to the last bit. Nothing is pickled.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.losses import Loss

CHECKPOINT = "checkpoint.safetensors"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """iterations: of the whole run. floor: last learning rate over the first. clip: largest norm of the gradient.

    ema: largest decay of the averaged weights; less in the first iterations, so that the start is forgotten.
    """

    iterations: int
    seed: int = 0
    learning_rate: float = 1.5e-3
    warm_up: int = 100
    floor: float = 0.02
    weight_decay: float = 1e-4
    clip: float = 5.0
    ema: float = 0.999


@dataclass(slots=True, kw_only=True, eq=False)
class Training:
    """All that changes from one iteration to the next. iteration: how many are done. ema: averaged weights."""

    net: nn.Module
    ema: dict[str, Tensor]
    optimiser: torch.optim.AdamW
    iteration: int


def begin(net: nn.Module, schedule: Schedule) -> Training:
    """Before the first iteration; the network is already on its device."""
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay, betas=(0.9, 0.999)
    )
    ema = {name: value.detach().clone() for name, value in net.state_dict().items()}
    return Training(net=net, ema=ema, optimiser=optimiser, iteration=0)


def step(training: Training, image: Tensor, classes: Tensor, loss: Loss, schedule: Schedule) -> float:
    """One iteration on a batch (N, 1, X, Y, Z) and (N, X, Y, Z); its loss."""
    device = image.device
    for group in training.optimiser.param_groups:
        group["lr"] = learning_rate(schedule, training.iteration)
    training.net.train()
    training.optimiser.zero_grad(set_to_none=True)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed_of(schedule.seed, training.iteration))  # dropout has no generator of its own
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            logits = training.net(image)
        value = loss(logits, classes)
        if not math.isfinite(value.item()):
            raise ArithmeticError(f"The loss of iteration {training.iteration} is {value.item()}; nothing was changed.")
        value.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(training.net.parameters(), schedule.clip)
    training.optimiser.step()
    training.iteration += 1
    decay = min(schedule.ema, training.iteration / (training.iteration + 9))
    now = training.net.state_dict()
    torch._foreach_lerp_(list(training.ema.values()), [now[name] for name in training.ema], 1 - decay)
    return value.item()


def learning_rate(schedule: Schedule, iteration: int) -> float:
    """Linear warm-up, half a cosine down to the floor. Source: Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5."""
    warm = min(1.0, (iteration + 1) / schedule.warm_up)
    cosine = 0.5 * (1 + math.cos(math.pi * iteration / schedule.iterations))
    return schedule.learning_rate * warm * (schedule.floor + (1 - schedule.floor) * cosine)


def seed_of(*numbers: int) -> int:
    """One seed from several numbers, far from that of any other numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def save(training: Training, folder: Path) -> None:
    """Write the checkpoint; a kill at any moment leaves the old one or the new one."""
    tensors = {f"net.{name}": value for name, value in training.net.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in training.ema.items()}
    for name, parameter in training.net.named_parameters():
        for moment in MOMENTS:
            tensors[f"{moment}.{name}"] = training.optimiser.state[parameter][moment]
    write_tensors(folder / CHECKPOINT, tensors, {"iteration": str(training.iteration)})


def resume(training: Training, folder: Path) -> None:
    """Take up the checkpoint of the folder, if there is one."""
    if not (folder / CHECKPOINT).is_file():
        return
    device = next(training.net.parameters()).device
    with safe_open(folder / CHECKPOINT, framework="pt") as file:
        training.iteration = int(file.metadata()["iteration"])
        training.net.load_state_dict({name: file.get_tensor(f"net.{name}") for name in training.ema})
        training.ema = {name: file.get_tensor(f"ema.{name}").to(device) for name in training.ema}
        for name, parameter in training.net.named_parameters():
            kept = {moment: file.get_tensor(f"{moment}.{name}") for moment in MOMENTS}
            training.optimiser.state[parameter] = {
                moment: value if moment == "step" else value.to(device) for moment, value in kept.items()
            }


def write_weights(training: Training, path: Path, about: dict[str, object]) -> None:
    """The averaged weights in half precision; `about` goes into the file's header, as JSON."""
    half = {name: value.half() for name, value in training.ema.items()}
    write_tensors(path, half, {"training": json.dumps(about)})


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Safetensors under another name first, then renamed: never half a file."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, unfinished, metadata)
    unfinished.replace(path)
