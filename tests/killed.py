"""Work that is killed at random moments, as a power cut does it."""

import os
import random
from collections.abc import Callable

from tests.databases import forked

KILLS = int(os.environ.get("BRAIN_TRIAGE_KILLS", "2"))
"""How many; the suite has no time for the fifty that are promised."""


def killed_at_random(
    work: Callable[..., object], *arguments: object, longest_s: float, kills: int = KILLS, seed: int = 0
) -> int:
    """Start the work and kill -9 it after 0 to longest_s seconds, until it ends by itself or has died so many times.

    How many times it died.
    """
    draw = random.Random(seed)
    for died in range(kills):
        process = forked(work, *arguments)
        process.join(draw.uniform(0, longest_s))
        process.kill()
        process.join()
        if process.exitcode == 0:
            return died
    return kills
