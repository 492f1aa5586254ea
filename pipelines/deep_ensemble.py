"""A deep ensemble in the table of posteriors: members that differ in the last decoder block and the head.

Members are no distribution over heads of one trunk, hence no row of `models.posteriors.POSTERIORS`; over the stacked
features of all of them they are one (`models.posteriors.ensemble`), and are graded as every posterior is.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.last_block import BLOCK, BeforeLastBlock
from models.network import Trunk
from models.posteriors.ensemble import side_by_side, stacked
from models.posteriors.heads import HeadSamples
from models.predictive import augment
from models.runtime import Runner, make_runner
from pipelines.compare import SampledCase
from pipelines.labelled import Labelled

DEEP_ENSEMBLE = "deep_ensemble"
MEMBERS = "members"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ensemble:
    """The network and members beside it. posterior: over the stacked features, the network's own first.

    before: image to what comes into the last block, (64, I, J, K). blocks: of the members, from there to features.
    """

    posterior: HeadSamples
    before: Runner
    blocks: Sequence[nn.Module]

    def see(self, case: SampledCase, one: Labelled) -> SampledCase:
        """The same cells of a scan, as the members see them."""
        inputs = self.before(torch.from_numpy(one.conformed.image))
        features = stacked([one.features, *(last_features(block, inputs) for block in self.blocks)])
        return replace(case, features=augment(features)[:, case.cells])


def read_ensemble(folder: Path, trunk: Trunk, head: Tensor) -> Ensemble | None:
    """Of the network's trunk and head (8 C, F + 1) and the members in a folder; None where there are none.

    folder: of files that `pipelines.fit_last_block` wrote with this trunk.
    """
    heads, blocks = [head], []
    for path in sorted(folder.glob("*.safetensors")):
        state = {name: value.float() for name, value in load_file(path).items()}
        block = copy.deepcopy(trunk.decoder[0])
        block.load_state_dict({name.removeprefix(BLOCK): value for name, value in state.items() if BLOCK in name})
        blocks.append(block.eval())
        heads.append(torch.cat([state["head.weight"].flatten(1), state["head.bias"][:, None]], dim=1))
    if not blocks:
        return None
    _, before = make_runner(BeforeLastBlock(trunk))
    return Ensemble(posterior=side_by_side(heads), before=before, blocks=blocks)


def last_features(block: nn.Module, inputs: Tensor) -> Tensor:
    """(64, I, J, K) into a last block to its features (F, I, J, K)."""
    with torch.inference_mode():
        features: Tensor = block(inputs[None])[0]
    return features.clone()
