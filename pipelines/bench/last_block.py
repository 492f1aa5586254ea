"""The last decoder block: what taking channels out of it buys, and what members that differ in it see.

  python -m pipelines.bench.last_block --cache CACHE

CACHE holds cells.safetensors (`pipelines.draw_cells`) and members/{on,anew}_<seed>.safetensors, fitted on from the
trained weights or anew from random ones (`pipelines.fit_last_block`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models import bundle as files
from models.cells import read_cells
from models.last_block import BeforeLastBlock
from models.network import SMALLEST_SIDE, SUBVOXELS, SegmentationNet
from models.posteriors import HeadPosterior, channel_gates
from models.posteriors.ensemble import side_by_side, stacked
from models.posteriors.point import PointPosterior
from models.predictive import Predictive, augment, predict
from models.runtime import make_runner, openvino_runner
from pipelines.bench.last_block_page import write
from pipelines.bench.page import Bench, Inputs, Results, kept, run
from pipelines.deep_ensemble import MEMBERS, last_features
from pipelines.degrade import DEGRADATIONS
from pipelines.draw_cells import CELLS
from pipelines.engine import BRAIN_CLASSES, SAMPLES
from pipelines.evaluate import dice_table
from pipelines.labelled import Labelled, by_cell, features_folder, label, labelled
from pipelines.scans import Scan, read_nifti, read_scans
from pipelines.turns import cpu_seconds
from triage.anatomy import LESION, N_CLASSES
from triage.case import Volume

PENALTIES_NATS = (1e3, 3e3, 1e4, 3e4)
TIMED_SHAPE = (96, 128, 96)
REPEATS = 9
SCANS = ("malf_1000", "malf_1011", "ixi_IXI067-HH-1356")
"""Tune scans: two with manual labels, one whole head."""
SHIFTED_SCANS = ("malf_1000", "ixi_IXI067-HH-1356")
DAMAGE, LEVEL = ("noise", "thick_slices", "contrast_inversion"), 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """bundle: its name and version. posterior: as shipped. members: name to network; heads: name to head (8 C, F + 1).

    The network's own come first; all heads are divided by the bundle's temperature.
    """

    bundle: str
    network: SegmentationNet
    posterior: HeadPosterior
    members: Mapping[str, SegmentationNet]
    heads: Mapping[str, Tensor]

    @property
    def ensemble(self) -> list[str]:
        """The network, and the members that went on from its weights."""
        return ["network", *(name for name in self.members if name.startswith("on"))]

    @property
    def digest(self) -> str:
        """Of the heads, which differ wherever networks do."""
        known = [head.numpy().tobytes() for head in (*self.heads.values(), self.posterior.mean)]
        return hashlib.sha256(b"".join(known)).hexdigest()[:12]


def load_models(inputs: Inputs) -> Models:
    """The bundle, and the members in the cache."""
    bundle = files.load_bundle(inputs.bundle)
    network = files.read_network(inputs.bundle, N_CLASSES)
    temperature = bundle.temperature
    members, heads = {"network": network}, {"network": bundle.posterior.mean}
    for path in sorted((inputs.cache / MEMBERS).glob("*.safetensors")):
        member = SegmentationNet(N_CLASSES).eval().requires_grad_(False)
        member.load_state_dict(network.state_dict() | load_file(path))
        members[path.stem], heads[path.stem] = member, member.linear_head / temperature
    return Models(
        bundle=f"{bundle.name} {bundle.version}",
        network=network,
        posterior=bundle.posterior,
        members=members,
        heads=heads,
    )


def measure_gates(models: Models, inputs: Inputs) -> list[dict[str, Any]]:
    """One row a penalty, the network as it is first: channels, Dice, work, and CPU time in turns with the whole one."""
    cells = read_cells(inputs.cache / CELLS)
    head = models.network.linear_head
    fitted = {p: channel_gates.fit(head, cells, penalty_nats=p) for p in PENALTIES_NATS}
    networks = {0.0: models.network} | {p: channel_gates.remove_channels(models.network, g) for p, g in fitted.items()}
    heads = {0.0: head} | {p: gates.mean for p, gates in fitted.items()}
    runners = [openvino_runner(network.trunk) for network in networks.values()]
    image = torch.rand(TIMED_SHAPE, generator=torch.Generator().manual_seed(0))
    rounds = [[cpu_seconds(partial(each, image))[1] for each in runners] for _ in range(REPEATS + 1)][1:]
    times = np.median(rounds, axis=0).tolist()
    dice: dict[float, list[dict[str, float]]] = {p: [] for p in heads}
    kept = features_folder(inputs.cache, models.network.trunk)
    for one in labelled([s for s in read_scans(inputs.cases, ["tune"]) if s.name in SCANS], runners[0], kept):
        for penalty, gated in heads.items():
            found = predicted(one.features, PointPosterior(mean=gated))
            dice[penalty].append(dice_of(found, one))
    return [
        {
            "penalty_nats": penalty,
            "channels": network.head.in_channels,
            "parameters": sum(p.numel() for p in network.parameters()),
            "flops": flops(network),
            "seconds": seconds,
            "dice": {key: float(np.nanmean([row[key] for row in dice[penalty]])) for key in dice[penalty][0]},
        }
        for (penalty, network), seconds in zip(networks.items(), times, strict=True)
    ]


def measure_members(models: Models, inputs: Inputs) -> dict[str, Any]:
    """Dice of every member and ensemble on clean scans; what the posteriors see as two of them are damaged."""
    _, runner = make_runner(BeforeLastBlock(models.network.trunk))
    dice: dict[str, list[dict[str, float]]] = {}
    shifts = []
    for scan in (s for s in read_scans(inputs.cases, ["tune"]) if s.name in SCANS):
        for damage in ("", *(DAMAGE if scan.name in SHIFTED_SCANS else ())):
            one = label(scan, damaged(scan, damage), runner, damage)
            names = models.ensemble if damage else list(models.members)
            features = {name: last_features(models.members[name].trunk.decoder[0], one.features) for name in names}
            ensemble = together(models, features)
            if not damage:
                alone = {n: predicted(features[n], PointPosterior(mean=head)) for n, head in models.heads.items()}
                for name, each in (alone | {"ensemble": ensemble}).items():
                    dice.setdefault(name, []).append(dice_of(each, one))
            if scan.name in SHIFTED_SCANS:
                by_head = predicted(features["network"], models.posterior, SAMPLES)
                found = {"head posterior": by_head, "ensemble": ensemble}
                shifts.append(
                    {"scan": scan.name, "damage": damage}
                    | {"dice": {name: dice_of(each, one) for name, each in found.items()}}
                    | {"doubt": {name: doubt(each) for name, each in found.items()}}
                )
    return {"dice": dice, "shifts": shifts}


def damaged(scan: Scan, damage: str) -> Volume:
    """The scan as it is, or a damaged copy."""
    volume = read_nifti(scan.t1)
    return DEGRADATIONS[damage](volume, LEVEL, np.random.default_rng(0)) if damage else volume


def together(models: Models, features: Mapping[str, Tensor]) -> Predictive:
    """The predictive of the ensemble."""
    names = models.ensemble
    joint = side_by_side([models.heads[name] for name in names])
    return predicted(stacked([features[name] for name in names]), joint, len(names))


def predicted(features: Tensor, posterior: HeadPosterior, samples: int = 0) -> Predictive:
    """The predictive of every second cell, without the anatomical prior: what is compared is the network's own doubt.

    samples: 0 for the mean head alone.
    """
    cells = augment(features[:, ::2, ::2, ::2])
    heads = posterior.sample(samples, seed=0) if samples else posterior.mean[None][:0]
    return predict(cells, posterior.mean, heads, torch.ones(LESION, cells.shape[1]), BRAIN_CLASSES)


def dice_of(found: Predictive, one: Labelled) -> dict[str, float]:
    """Dice of every structure and tissue on those cells; and under "lesion_ml" what was called a lesion."""
    assert one.classes is not None, f"{one.scan.name} has no labels"
    truth = by_cell(one.classes).view(SUBVOXELS, *one.features.shape[1:])[:, ::2, ::2, ::2].reshape(SUBVOXELS, -1)
    labels = found.labels.numpy()
    return dice_table(labels, truth.numpy()) | {"lesion_ml": 8 * float((labels == LESION).sum()) / 1000}


def doubt(found: Predictive) -> dict[str, float]:
    """Brain means of the mutual information and of the entropy, nats."""
    brain = BRAIN_CLASSES[found.labels.long()]
    information = found.entropy - found.expected_entropy
    return {"information": float(information[brain].mean()), "entropy": float(found.entropy[brain].mean())}


def flops(network: nn.Module) -> int:
    """Of the smallest image."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 1, *[SMALLEST_SIDE] * 3))
    return int(counter.get_total_flops())


def measure(inputs: Inputs) -> Results:
    """All figures of the page."""
    models = load_models(inputs)
    work = {"network": flops(models.network), "before_last_block": flops(BeforeLastBlock(models.network.trunk))}
    folder = inputs.cache / "last_block_page" / models.digest
    gates = kept(folder / "gates.json", lambda: measure_gates(models, inputs))
    members = kept(folder / "members.json", lambda: measure_members(models, inputs))
    return {"bundle": models.bundle, "gates": gates, "work": work, **members}


BENCH = Bench(name="last_block", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
