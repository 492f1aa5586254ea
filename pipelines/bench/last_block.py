"""The last decoder block: what taking channels out of it buys, and what members that differ in it see.

  python -m pipelines.bench.last_block --cache CACHE

CACHE holds cells.safetensors (`pipelines.draw_cells`) and members/*.safetensors (`pipelines.fit_last_block`). Members
fitted on from the trained weights are those whose file name begins with "on"; the others started from random ones.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models import bundle as files
from models.cells import read_cells
from models.last_block import BeforeLastBlock
from models.network import SMALLEST_SIDE, SegmentationNet
from models.posteriors import HeadPosterior, channel_gates
from models.posteriors.ensemble import side_by_side, stacked
from models.posteriors.point import PointPosterior
from models.predictive import Predictive, augment, predict, unfold
from models.runtime import Runner, make_runner, openvino_runner
from pipelines.bench.last_block_page import write
from pipelines.bench.page import Bench, Inputs, Results, run
from pipelines.degrade import DEGRADATIONS
from pipelines.draw_cells import CELLS
from pipelines.engine import BRAIN_CLASSES, SAMPLES
from pipelines.evaluate import dice_table
from pipelines.labelled import features_folder, label, labelled
from pipelines.scans import read_nifti, read_scans
from pipelines.turns import in_turns
from triage.anatomy import LESION, N_CLASSES

MEMBERS = "members"
PENALTIES_NATS = (3e2, 1e3, 3e3, 1e4)
TIMED_SHAPE = (160, 192, 160)
REPEATS = 3
SCANS = ("malf_1000", "malf_1011", "ixi_IXI067-HH-1356", "ixi_IXI195-HH-1620", "ixi_IXI258-HH-1769")
"""Tune scans: two with manual labels, three whole heads."""
SHIFTED_SCANS = ("malf_1000", "ixi_IXI067-HH-1356")
DAMAGE = {"noise": 4, "thick_slices": 4, "contrast_inversion": 4}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """posterior: as shipped. members: name to network; heads: name to head (8 C, F + 1), the network's own first.

    All heads are divided by the bundle's temperature.
    """

    network: SegmentationNet
    posterior: HeadPosterior
    members: Mapping[str, SegmentationNet]
    heads: Mapping[str, Tensor]

    @property
    def anew(self) -> list[str]:
        """Members of the ensemble: the network, and those that started from random weights."""
        return [name for name in self.members if not name.startswith("on")]


def load_models(inputs: Inputs) -> Models:
    """The bundle, and the members in the cache."""
    bundle = files.load_bundle(inputs.bundle)
    network = files.read_network(inputs.bundle, N_CLASSES)
    temperature = json.loads((inputs.bundle / files.METADATA).read_text())["brain_triage"]["temperature"]
    members, heads = {"network": network}, {"network": bundle.posterior.mean}
    for path in sorted((inputs.cache / MEMBERS).glob("*.safetensors")):
        member = SegmentationNet(N_CLASSES).eval().requires_grad_(False)
        member.load_state_dict(network.state_dict() | load_file(path))
        members[path.stem], heads[path.stem] = member, member.linear_head / temperature
    return Models(network=network, posterior=bundle.posterior, members=members, heads=heads)


def measure_gates(models: Models, inputs: Inputs) -> list[dict[str, Any]]:
    """One row a penalty, the network as it is first: channels, Dice, work, and time in turns with the whole network."""
    cells = read_cells(inputs.cache / CELLS)
    head = models.network.linear_head
    fitted = {p: channel_gates.fit(head, cells, penalty_nats=p) for p in PENALTIES_NATS}
    networks = {0.0: models.network} | {p: channel_gates.remove_channels(models.network, g) for p, g in fitted.items()}
    heads = {0.0: head} | {p: gates.mean for p, gates in fitted.items()}
    runners = [openvino_runner(network.trunk) for network in networks.values()]
    image = torch.rand(TIMED_SHAPE, generator=torch.Generator().manual_seed(0))
    times = in_turns(*(lambda run=run: run(image) for run in runners), repeats=REPEATS)  # type: ignore[misc]
    dice: dict[float, list[dict[str, float]]] = {p: [] for p in heads}
    kept = features_folder(inputs.cache, models.network.trunk)
    for one in labelled([s for s in read_scans(inputs.cases, ["tune"]) if s.name in SCANS], runners[0], kept):
        for penalty, gated in heads.items():
            found = predicted(one.features, PointPosterior(mean=gated))
            dice[penalty].append(dice_of(found, one.features.shape[1:], one.classes))
    return [
        {
            "penalty_nats": penalty,
            "channels": network.head.in_channels,
            "parameters": sum(p.numel() for p in network.parameters()),
            "gflop": flops(network) * image.numel() / SMALLEST_SIDE**3 / 1e9,
            "seconds": seconds,
            "dice": {key: float(np.nanmean([row[key] for row in dice[penalty]])) for key in dice[penalty][0]},
        }
        for (penalty, network), seconds in zip(networks.items(), times, strict=True)
    ]


def measure_members(models: Models, inputs: Inputs) -> dict[str, Any]:
    """Dice of every member and of the ensemble on clean scans; what both posteriors see as two of them are damaged."""
    _, runner = make_runner(BeforeLastBlock(models.network.trunk))
    dice: dict[str, list[dict[str, float]]] = {name: [] for name in (*models.members, "ensemble")}
    shifts = []
    for scan in (s for s in read_scans(inputs.cases, ["tune"]) if s.name in SCANS):
        for damage, level in {"": 0, **(DAMAGE if scan.name in SHIFTED_SCANS else {})}.items():
            volume = read_nifti(scan.t1)
            if damage:
                volume = DEGRADATIONS[damage](volume, level, np.random.default_rng(0))
            one = label(scan, volume, runner, damage)
            features = {name: last_features(net, one.features) for name, net in models.members.items()}
            grid = one.features.shape[1:]
            joint = side_by_side([models.heads[name] for name in models.anew])
            together = predicted(stacked([features[name] for name in models.anew]), joint, len(models.anew))
            if not damage:
                for name, head in models.heads.items():
                    alone = predicted(features[name], PointPosterior(mean=head))
                    dice[name].append(dice_of(alone, grid, one.classes))
                dice["ensemble"].append(dice_of(together, grid, one.classes))
            if scan.name in SHIFTED_SCANS:
                by_head = predicted(features["network"], models.posterior, SAMPLES)
                row = {"scan": scan.name, "damage": damage, "level": level}
                row |= {f"{key}_head": value for key, value in doubt(by_head).items()}
                row |= {f"{key}_ensemble": value for key, value in doubt(together).items()}
                row["dice"] = dice_of(by_head, grid, one.classes)
                row["dice_ensemble"] = dice_of(together, grid, one.classes)
                shifts.append(row)
    return {"dice": dice, "shifts": shifts}


def last_features(net: SegmentationNet, inputs: Tensor) -> Tensor:
    """(64, I, J, K) into the last block to its features (F, I, J, K)."""
    with torch.inference_mode():
        features: Tensor = net.trunk.decoder[0](inputs[None])[0]
    return features.clone()


def predicted(features: Tensor, posterior: HeadPosterior, samples: int = 0) -> Predictive:
    """The predictive without the anatomical prior, so that what is compared is the network's own doubt."""
    ratio = torch.ones(LESION, features[0].numel())
    return predict(
        augment(features), posterior.mean, posterior.sample(max(1, samples), seed=0)[:samples], ratio, BRAIN_CLASSES
    )


def dice_of(found: Predictive, grid: tuple[int, ...], classes: Any) -> dict[str, float]:
    """Dice of every structure and tissue; and under "lesion_ml" what was called a lesion."""
    labels = unfold(found.labels, (grid[0], grid[1], grid[2])).numpy()
    return dice_table(labels, classes) | {"lesion_ml": float((labels == LESION).sum()) / 1000}


def doubt(found: Predictive) -> dict[str, float]:
    """Brain means of the mutual information and of the entropy, nats."""
    brain = BRAIN_CLASSES[found.labels.long()]
    information = found.entropy - found.expected_entropy
    return {"information": float(information[brain].mean()), "entropy": float(found.entropy[brain].mean())}


def flops(network: SegmentationNet) -> int:
    """Of the smallest image."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 1, *[SMALLEST_SIDE] * 3))
    return counter.get_total_flops()


def measure_cost(models: Models) -> dict[str, float]:
    """Seconds of the trunk, and of it without its last block, in turns: a further member costs the difference."""
    image = torch.rand(TIMED_SHAPE, generator=torch.Generator().manual_seed(0))
    runners: Iterator[Runner] = map(openvino_runner, (models.network.trunk, BeforeLastBlock(models.network.trunk)))
    whole, before = in_turns(*(lambda run=run: run(image) for run in runners), repeats=REPEATS)  # type: ignore[misc]
    return {"whole_s": whole, "before_s": before}


def measure(inputs: Inputs) -> Results:
    """All figures of the page."""
    models = load_models(inputs)
    gates = measure_gates(models, inputs)
    return {"gates": gates, "cost": measure_cost(models), **measure_members(models, inputs)}


BENCH = Bench(name="last_block", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
