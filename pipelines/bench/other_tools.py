"""Three tissues on the OASIS scans: this network, and what a user would take instead, against the same manual labels.

The other tools ran in an environment of their own, see `pipelines.bench.baselines.tissues`; their results are read from
the cache folder. They need a skull-stripped image, which these scans are.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.network import SegmentationNet
from models.posteriors.mc_dropout import naive_mc_dropout
from pipelines.bench.page import Inputs, kept
from pipelines.compare import segmenter_digest
from pipelines.engine import BundleEngine
from pipelines.evaluate import SEED
from pipelines.grids import labels_on_grid
from pipelines.metrics import dice
from pipelines.preprocess import conform
from pipelines.scans import Scan, read_classes, read_nifti
from pipelines.turns import cpu_seconds
from triage.anatomy import TISSUES
from triage.case import Volume

TRIVIAL = "gaussian_mixture"
TOOLS: Mapping[str, str] = {
    TRIVIAL: "Gaussian mixture, 3 classes",
    "dipy_hmrf": "dipy HMRF",
    "atropos": "N4, ANTs affine, Atropos with ICBM priors",
}
TISSUE_OF_TOOLS: Mapping[str, int] = {"csf": 1, "grey_matter": 2, "white_matter": 3}
ONE_PASS, NAIVE = "one_pass", "naive_mc_dropout"
PASSES = 20

Labels = NDArray[np.uint8]


def measure_tools(inputs: Inputs, engine: BundleEngine, scans: Sequence[Scan]) -> list[dict[str, Any]]:
    """A row a scan and tool: Dice of the tissues and CPU seconds."""
    rows = []
    for scan in scans:
        for tool in TOOLS:
            image = inputs.cache / "baselines" / tool / scan.t1.name
            if image.is_file():
                labels = tissues_of_tool(np.asarray(nib.load(image).dataobj))
                rows.append(
                    {"case": scan.name, "tool": tool, "cpu_s": _cpu(inputs.cache, tool, scan)}
                    | tissue_dice(labels, scan)
                )
        folder = inputs.cache / "scans" / segmenter_digest(engine)
        rows += kept(folder / f"{scan.name}.eager.json", lambda scan=scan: _eager(engine, scan))  # type: ignore[misc]
    return rows


def missing_tools(cache: Path) -> list[str]:
    """Names of the tools that left nothing in the cache folder."""
    return [tool for tool in TOOLS if not any((cache / "baselines" / tool).glob("*.nii.gz"))]


def full_seconds(engine: BundleEngine, scan: Scan) -> float:
    """CPU seconds of one prediction of this network, from the scanner's volume back to it."""
    volume = read_nifti(scan.t1)
    return cpu_seconds(lambda: engine.predict(volume, seed=SEED))[1]


def tissues_of_tool(labels: NDArray[np.integer]) -> Labels:
    """A tool's 1 CSF, 2 grey, 3 white to one class of each tissue."""
    table = np.zeros(4, np.uint8)
    for tissue, value in TISSUE_OF_TOOLS.items():
        table[value] = TISSUES[tissue][0]
    return np.asarray(table[labels])


def tissue_dice(labels: Labels, scan: Scan) -> dict[str, float]:
    """Dice of grey and white matter; and of grey matter with CSF, inside the manual brain, where protocols agree.

    The manual grey matter holds the sulcal CSF between the gyri. Neither can be told from the other by a tool that is
    right: so the union of both is compared as well, within what the manual labels call brain.
    """
    assert scan.labels is not None
    truth, _ = read_classes(scan.labels)
    grey, white, fluid = (np.isin(labels, TISSUES[name]) for name in ("grey_matter", "white_matter", "csf"))
    true_grey, true_white, true_fluid = (np.isin(truth, TISSUES[n]) for n in ("grey_matter", "white_matter", "csf"))
    return {
        "grey_matter": dice(grey, true_grey),
        "white_matter": dice(white, true_white),
        "grey_or_csf": dice((grey | fluid) & (truth > 0), true_grey | true_fluid),
    }


def _eager(engine: BundleEngine, scan: Scan) -> list[dict[str, Any]]:
    """One pass as it is and PASSES naive ones, from the scanner's volume back to it; beside them this network's own
    prediction, timed in the same run.
    """
    volume, network = read_nifti(scan.t1), network_of(engine)
    ways: Mapping[str, Callable[[Tensor], Tensor]] = {
        ONE_PASS: partial(_one_pass, network),
        NAIVE: partial(naive_mc_dropout, network, passes=PASSES, seed=SEED),
    }
    _, own = cpu_seconds(lambda: engine.predict(volume, seed=SEED))
    rows = []
    for tool, scores in ways.items():
        labels, took = cpu_seconds(partial(_segment, volume, scores))
        rows.append({"case": scan.name, "tool": tool, "cpu_s": took, "own_cpu_s": own} | tissue_dice(labels, scan))
    return rows


@torch.inference_mode()
def _one_pass(network: SegmentationNet, image: Tensor) -> Tensor:
    logits: Tensor = network(image[None, None])[0]
    return logits


def _segment(volume: Volume, scores: Callable[[Tensor], Tensor]) -> Labels:
    """The class of the largest score. scores: of the conformed image, (C, X, Y, Z)."""
    conformed = conform(volume)
    labels = scores(torch.from_numpy(conformed.image)).argmax(dim=0).numpy().astype(np.uint8)
    sure = np.zeros(labels.shape, np.float32)
    return labels_on_grid(labels, sure, conformed.affine, volume.affine, volume.array.shape)


def network_of(engine: BundleEngine) -> SegmentationNet:
    """Trunk and the posterior's mean head as one network, as it was trained: without the temperature."""
    mean = engine.model.posterior.mean * engine.model.temperature
    net = SegmentationNet(len(engine.model.classes))
    net.trunk = engine.model.trunk
    net.head.weight.data = mean[:, :-1, None, None, None].clone()
    net.head.bias.data = mean[:, -1].clone()  # type: ignore[union-attr]
    return net.eval()


def _cpu(cache: Path, tool: str, scan: Scan) -> float:
    """CPU seconds that the tool noted for this scan."""
    lines = (cache / "baselines" / f"{tool}.jsonl").read_text().splitlines()
    return next(float(row["cpu_seconds"]) for row in map(json.loads, lines) if row["image"] == scan.t1.name)
