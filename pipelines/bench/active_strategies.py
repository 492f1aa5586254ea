"""Which cases to label next, as the page on corrections compares it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipelines.bench.active_world import GRADED, Item
from pipelines.next_cases import propose

Strategy = Callable[[Sequence[Item], int, int], list[int]]
"""Items, how many, seed -> which, in order."""


def at_random(items: Sequence[Item], n: int, seed: int) -> list[int]:
    """Any case."""
    return [int(k) for k in np.random.default_rng(seed).permutation(len(items))[:n]]


def foreground_aware(items: Sequence[Item], n: int, seed: int) -> list[int]:
    """Every other one at random; the rest in proportion to their volume of a structure that is drawn evenly.

    After the stronger baseline of nnActive (Lueth et al. 2025, arXiv:2511.19183), whose unit is a patch, not a scan.
    """
    rng, left, chosen = np.random.default_rng(seed), list(range(len(items))), list[int]()
    while left and len(chosen) < n:
        chance = np.ones(len(left))
        if len(chosen) % 2:
            structure = rng.choice(GRADED)
            chance = np.array([items[k].volumes[structure] for k in left]) + 1e-9
        chosen.append(left.pop(int(rng.choice(len(left), p=chance / chance.sum()))))
    return chosen


def most_information(items: Sequence[Item], n: int, seed: int) -> list[int]:
    """The largest mutual information summed over the structures; no chance, no diversity."""
    total = [sum(item.candidate.information.values()) for item in items]
    return [int(k) for k in np.argsort(total)[::-1][:n]]


def proposed(items: Sequence[Item], n: int, seed: int) -> list[int]:
    """`brain-triage next`."""
    place = {item.candidate.pseudonym: k for k, item in enumerate(items)}
    return [place[one.pseudonym] for one in propose([item.candidate for item in items], n, seed=seed)]


STRATEGIES: Mapping[str, Strategy] = {
    "random": at_random,
    "foreground-aware random": foreground_aware,
    "most information": most_information,
    "brain-triage next": proposed,
}
