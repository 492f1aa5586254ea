"""Would a saliency map tell a reader the truth? Its sanity check: weights made random must change it.

Where the map of a trained network and that of the same network with random weights look alike, the map shows the image,
not what the network learnt. Source: Adebayo et al. 2018, arXiv:1810.03292, section 3 (cascading randomisation).
"""

import copy
import hashlib
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from models.bundle import NETWORK, read_network
from models.network import SegmentationNet
from pipelines.bench.page import Inputs, Results, kept
from pipelines.metrics import spearman
from pipelines.preprocess import conform
from pipelines.scans import read_nifti, read_scans
from triage.anatomy import BRAIN

SCANS = ("malf_1006", "ixi_IXI127-HH-1451")
CROP = (64, 96, 64)
DRAWS, NOISE = 3, 0.1
"""Images with added noise that SmoothGrad takes the mean over, and its SD. Source: Smilkov et al. 2017, 1706.03825."""
SHOWN_MM = 1.5
"""Maps are blurred by this before they are compared, as they would be shown."""
STAGES: Mapping[str, tuple[str, ...]] = {
    "head": ("head",),
    "last decoder block": ("trunk.decoder.0", "trunk.up.0"),
    "decoder": ("trunk.decoder", "trunk.up"),
    "decoder and deep encoder": ("trunk.encoder.4", "trunk.encoder.3", "trunk.encoder.2", "trunk.down"),
    "all": ("trunk.encoder",),
}
"""From the output to the input; each stage is made random on top of those before it."""
ALL_BUT_FIRST = "decoder and deep encoder"


def gradient(net: SegmentationNet, image: Tensor, brain: Tensor) -> Tensor:
    """d (sum of the brain's predictive entropy) / d image. image: (X, Y, Z); brain: (X, Y, Z) bool."""
    at = image.clone().requires_grad_(True)
    logits = net(at[None, None])[0, :, brain]
    log_p = torch.log_softmax(logits, dim=0)
    entropy = -(log_p.exp() * log_p).sum()
    (found,) = torch.autograd.grad(entropy, at)
    return found


def smooth_gradient(net: SegmentationNet, image: Tensor, brain: Tensor) -> Tensor:
    """SmoothGrad: the mean gradient over noisy copies of the image."""
    generator = torch.Generator().manual_seed(0)
    noise = (NOISE * torch.randn(image.shape, generator=generator) for _ in range(DRAWS))
    return torch.stack([gradient(net, image + one, brain) for one in noise]).mean(dim=0)


def maps(net: SegmentationNet, image: Tensor, brain: Tensor) -> dict[str, NDArray[np.float32]]:
    """Each saliency as it would be shown, at the voxels of the brain."""
    plain = gradient(net, image, brain)
    found = {"gradient": plain, "gradient x input": image * plain, "SmoothGrad": smooth_gradient(net, image, brain)}
    return {name: _shown(one, brain.numpy()) for name, one in found.items()}


def randomised(net: SegmentationNet) -> Iterator[tuple[str, SegmentationNet]]:
    """The network with one stage of STAGES after the other at its random initial weights."""
    changed = copy.deepcopy(net)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, parts in STAGES.items():
            for module in (m for part in parts for m in changed.get_submodule(part).modules()):
                if isinstance(module, nn.Conv3d | nn.ConvTranspose3d | nn.InstanceNorm3d):
                    module.reset_parameters()
            yield name, changed


def measure(inputs: Inputs) -> Results:
    """For each saliency and stage, how alike the maps are; the seconds of one backward pass over those of a forward."""
    digest = hashlib.sha256((inputs.bundle / NETWORK).read_bytes()).hexdigest()[:12]
    scans = {scan.name: scan for scan in read_scans(inputs.cases, ["tune", "test"])}
    return {
        name: kept(
            inputs.cache / "doubt" / "saliency" / f"{name}.{digest}.json", partial(check, inputs, scans[name].t1)
        )
        for name in SCANS
    }


def check(inputs: Inputs, t1: Path) -> Results:
    """One scan."""
    net = read_network(inputs.bundle, 12)
    image = _crop(conform(read_nifti(t1)).image)
    start = time.process_time()
    with torch.inference_mode():
        p = torch.softmax(net(image[None, None])[0], dim=0)
    forward = time.process_time() - start
    labels, entropy = p.argmax(dim=0), torch.special.entr(p).sum(dim=0)
    brain = torch.isin(labels, torch.tensor(BRAIN))
    start = time.process_time()
    gradient(net, image, brain)
    backward = time.process_time() - start
    trained = maps(net, image, brain)
    edges = ndimage.gaussian_gradient_magnitude(image.numpy(), 1.0)[brain.numpy()]
    shown_entropy = ndimage.gaussian_filter(entropy.numpy(), SHOWN_MM)[brain.numpy()]
    stages = {}
    for stage, other in randomised(net):
        random = maps(other, image, brain)
        stages[stage] = {name: spearman(trained[name], random[name]) for name in trained}
    return {
        "stages": stages,
        "edges": {name: spearman(values, edges) for name, values in trained.items()},
        "entropy": {name: spearman(values, shown_entropy) for name, values in trained.items()},
        "backward_over_forward": backward / forward,
    }


def _crop(image: NDArray[np.float32]) -> Tensor:
    """The middle of the image: the network's cost is that of its size."""
    starts = [max(0, (n - c) // 2) for n, c in zip(image.shape, CROP, strict=True)]
    return torch.from_numpy(image[tuple(slice(a, a + c) for a, c in zip(starts, CROP, strict=True))].copy())


def _shown(saliency: Tensor, brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(n,) size of the saliency at the voxels of the brain, blurred as it would be shown."""
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(saliency.abs().numpy(), SHOWN_MM)[brain]
    return blurred
