"""A limit on what is repeated: sign-ins from one address whatever names they try, pictures that are one view."""

import threading
import time
from collections import deque
from collections.abc import Callable


class Throttle:
    """At most so many tries of one key within a time. Keys that rest are forgotten."""

    def __init__(self, *, tries: int, within_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._tries = tries
        self._within_s = within_s
        self._clock = clock
        self._seen: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def wait_s(self, key: str) -> float:
        """Count one try; how long the key must wait, 0 when it may go on."""
        at = self._clock()
        with self._lock:
            self._forget(at)
            tries = self._seen.setdefault(key, deque())
            if len(tries) >= self._tries:
                return tries[0] + self._within_s - at
            tries.append(at)
            return 0.0

    def _forget(self, at: float) -> None:
        for key, tries in list(self._seen.items()):
            while tries and tries[0] + self._within_s <= at:
                tries.popleft()
            if not tries:
                del self._seen[key]
