"""Work on several processes gives what it gives on one."""

from __future__ import annotations

import os

import pytest
from threadpoolctl import threadpool_info

from training.spread import blas_threads, n_cores, n_threads, spread


def squares(part: range) -> list[int]:
    return [number * number for number in part]


@pytest.mark.parametrize("n", [0, 1, 7, 1_000])
def test_answers_come_in_order_and_none_is_missing(n: int) -> None:
    parts = spread(squares, n, least=1)
    assert [square for part in parts for square in part] == [number * number for number in range(n)]


@pytest.mark.skipif(n_cores() < 2, reason="needs two cores")
def test_much_work_is_done_by_other_processes_and_little_by_this_one() -> None:
    assert os.getpid() not in spread(lambda _: os.getpid(), 100, least=10)
    assert spread(lambda _: os.getpid(), 100, least=51) == [os.getpid()]


def test_work_within_work_stays_in_its_process() -> None:
    inner = spread(lambda _: spread(lambda _: os.getpid(), 100, least=1), 100, least=1)
    assert all(len(pids) == 1 for pids in inner)


def test_an_error_in_one_part_is_the_error_of_all() -> None:
    with pytest.raises(ZeroDivisionError):
        spread(lambda part: [1 // (number - 50) for number in part], 100, least=1)
    assert sum(len(part) for part in spread(squares, 10, least=1)) == 10


@pytest.mark.skipif(n_cores() < 2, reason="needs two cores")
def test_native_code_in_another_process_has_one_core() -> None:
    assert set(spread(lambda _: n_threads(), 100, least=1)) == {1}
    assert n_threads() == n_cores()


def threads_of_blas() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_every_blas_has_so_many_threads_within_the_block_and_what_it_had_after_it() -> None:
    before = threads_of_blas()
    with blas_threads(2):
        assert set(threads_of_blas()) == {2}
        with blas_threads(1):
            assert set(threads_of_blas()) == {1}
        assert set(threads_of_blas()) == {2}
    assert threads_of_blas() == before
