"""Fit methods of `models.posteriors` on drawn cells, and keep the state of each: what comparisons read.

  python -m pipelines.fit_posteriors --weights models/shipped/models/network.safetensors --cells cells/ --out fitted/

writes fitted/<name>.safetensors for each method, and prints its seconds; for the reference also whether it converged.
"""

import argparse
import time
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from models.cells import read_cells
from models.network import SegmentationNet
from models.posteriors import POSTERIORS
from models.posteriors.convergence import effective_size, split_rhat
from models.posteriors.hmc import CHAINS
from pipelines.draw_cells import CELLS
from triage.anatomy import N_CLASSES

REFERENCE = "hmc"


def trained_head(weights: Path) -> Tensor:
    """The head (8 C, F + 1) of a network's weights."""
    net = SegmentationNet(N_CLASSES)
    net.load_state_dict({key: value.float() for key, value in load_file(weights).items()})
    return net.linear_head


def convergence(heads: Tensor) -> str:
    """In words, over all weights. heads: (CHAINS x draws, 8 C, F + 1)."""
    chains = heads.view(CHAINS, -1, heads[0].numel())
    rhat, size = split_rhat(chains), effective_size(chains)
    return (
        f"{CHAINS} chains of {chains.shape[1]} draws: split R-hat median {rhat.median():.3f}, 99 % under "
        f"{rhat.quantile(0.99):.3f}, largest {rhat.max():.3f}; effective draws median {size.median():.0f}, "
        f"least {size.min():.0f} of {len(heads)}"
    )


def main() -> None:
    """Parse, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True, help="folder written by pipelines.draw_cells")
    parser.add_argument("--only", nargs="+", choices=POSTERIORS, default=list(POSTERIORS), metavar="METHOD")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    head, images = trained_head(args.weights), read_cells(args.cells / CELLS)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        start = time.perf_counter()
        state = POSTERIORS[name].fit(head, images).state
        save_file({key: value.contiguous() for key, value in state.items()}, args.out / f"{name}.safetensors")
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        if name == REFERENCE:
            print(convergence(state["heads"]), flush=True)


if __name__ == "__main__":
    main()
