"""Chunks run on all threads, in order, and leave the threads of torch and BLAS as they were."""

import time

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from models.parallel import map_chunks, one_thread_an_operation


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items_whichever_is_ready_first():
    def slow_first(item: int) -> int:
        time.sleep(0.03 if item == 0 else 0)
        return item

    assert list(map_chunks(slow_first, range(6))) == [0, 1, 2, 3, 4, 5]


def test_operations_inside_a_chunk_are_not_split_over_threads():
    threads = list(map_chunks(lambda _: torch.get_num_threads(), range(4)))

    assert threads == [1, 1, 1, 1]


def test_no_library_of_linear_algebra_splits_an_operation_either():
    np.linalg.norm(np.eye(2))  # numpy's is loaded

    with threadpool_limits(2, user_api="blas"), one_thread_an_operation():
        inside = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    assert inside == {1}


def test_the_number_of_threads_is_as_before_when_all_chunks_are_done():
    list(map_chunks(str, range(4)))

    assert torch.get_num_threads() == 3


def test_the_number_of_threads_is_as_before_when_a_chunk_fails():
    with pytest.raises(ZeroDivisionError):
        list(map_chunks(lambda n: 1 / n, [1, 0]))

    assert torch.get_num_threads() == 3


def test_the_number_of_threads_is_as_before_when_the_block_fails():
    with pytest.raises(KeyError), one_thread_an_operation():
        raise KeyError

    assert torch.get_num_threads() == 3
