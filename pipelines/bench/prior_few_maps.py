"""The tables of networks, and of heads, of few and of many label maps."""

from collections.abc import Callable, Sequence

import numpy as np

from pipelines.bench.page import Results, figure, table
from pipelines.bench.prior_rows import GAINED, MEASURES, NAMES, UNSEEN, both, change, gains, of_group, without
from pipelines.bench.prior_text import CONDITION


def networks_table(networks: Results) -> str:
    """Dice of each network under each condition without and with the prior."""
    header = ["label maps", "scans", *CONDITION.values()]
    rows = []
    for n, worth in networks.items():
        for group in UNSEEN:
            size = len(of_group(worth[""]["rows"]["none"], group))
            pairs = [", ".join(figure(x) for x in both(found, group, "dice")) for found in worth.values()]
            rows.append([n, f"{group} ({size})", *pairs])
    return table(header, rows)


def network_gains_table(networks: Results) -> str:
    """What the prior changes of each network under each condition, on scans that nothing was fitted on."""
    rows = ([n, CONDITION[c], *gains(found)] for n, worth in networks.items() for c, found in worth.items())
    return table(["label maps", *GAINED], rows)


def heads_table(heads: Results) -> str:
    """Of the scans that nothing was fitted on, by the number of label maps."""
    header = ["label maps", "draws", "scans", *(f"{NAMES[m]} without" for m in ("dice", "nll"))]
    header += [f"change of {NAMES[m]} by the prior" for m in MEASURES] + ["beta"]
    rows = []
    for n, draws in heads.items():
        for group in UNSEEN:
            cells = [_over_draws(draws, lambda one, g=group, m=m: without(one, g, m)) for m in ("dice", "nll")]  # type: ignore[misc]
            cells += [_over_draws(draws, lambda one, g=group, m=m: change(one, g, m), sign="+") for m in MEASURES]  # type: ignore[misc]
            beta = _over_draws(draws, lambda one: float(one["fits"]["prior"]["beta"]), places=2)
            rows.append([n, len(draws), group, *cells, beta])
    return table(header, rows)


def _over_draws(draws: Sequence[Results], of: Callable[[Results], float], *, sign: str = "", places: int = 3) -> str:
    values = [of(one) for one in draws]
    mean, *ends = (f"{x:{sign}.{places}f}" for x in (float(np.mean(values)), min(values), max(values)))
    return f"{mean} ({ends[0]} to {ends[1]})" if len(values) > 1 else mean
