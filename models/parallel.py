"""Many small tensor operations on a few cores: one thread an operation, several chunks at a time.

Splitting every small operation over the cores, as torch does, waits at a barrier after each one; on a machine that is
also doing something else this was 20 times slower than giving each core chunks of its own. The BLAS of numpy and scipy
spins at its barriers: L-BFGS over the 12 numbers of a pose took twice the CPU time with it, for the same bits.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def one_thread_an_operation() -> Iterator[int]:
    """Inside, neither torch nor BLAS splits operations; gives the number of threads that torch would have used."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield threads
    finally:
        torch.set_num_threads(threads)


def map_chunks(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """function over items on all threads, results in the order of the items, so that sums of them are repeatable.

    The threads flush denormal numbers to zero: tails of a softmax reach them, and each costs a hundred usual ones.
    """
    with one_thread_an_operation() as threads, ThreadPoolExecutor(threads, initializer=_flush_denormals) as pool:
        yield from pool.map(function, items)


def _flush_denormals() -> None:
    torch.set_flush_denormal(True)
