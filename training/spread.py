"""Work on many cases by several processes of one machine, forked so that nothing has to be handed over."""

from __future__ import annotations

import functools
import gc
import itertools
import os
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING, Any, Final, TypeVar

from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

T = TypeVar("T")

PARTS_EACH: Final = 3
"""Parts for each process: more than one, since parts take unequal time."""
_work: list[Callable[[range], Any]] = []
"""What the next children are forked for, as they find it in the memory they are a copy of."""


def spread(work: Callable[[range], T], n: int, *, least: int) -> list[T]:
    """Answers of ``work`` for parts of ``range(n)``, in order; one process a core where each gets ``least`` or more.

    Children see this process as it is now, and only their answers travel. They must not use what runs on threads
    of its own (DuckDB, LightGBM). Within a child, and where processes cannot be forked safely, it is one part.
    """
    n_processes = min(n_cores(), n // max(1, least))
    if n_processes < 2 or _work or sys.platform != "linux":
        return [work(range(n))]
    edges = [n * i // (n_processes * PARTS_EACH) for i in range(n_processes * PARTS_EACH + 1)]
    parts = [range(start, end) for start, end in itertools.pairwise(edges) if end > start]
    _work.append(work)
    gc.freeze()  # or the children's collectors would write to every page that they share with this process
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads that wait hold nothing a child needs
            with ProcessPoolExecutor(n_processes, mp_context=get_context("fork")) as pool:
                return list(pool.map(_answer, parts))
    finally:
        gc.unfreeze()
        _work.pop()


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def n_threads() -> int:
    """Threads that native code may use: one a core, and one in a child, which has a core to itself."""
    return 1 if _work else n_cores()


def blas_threads(n: int) -> AbstractContextManager[object]:
    """Within its block BLAS uses at most so many threads."""
    limit: AbstractContextManager[object] = _libraries().limit(limits=n, user_api="blas")
    return limit


@functools.cache
def _libraries() -> ThreadpoolController:
    """The libraries with threads of their own, looked for once: that takes as long as a small fit.

    NumPy and SciPy bring a BLAS each, and both have to be there to be found.
    """
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()


def is_child() -> bool:
    """Whether this process was forked to answer a part."""
    return bool(_work) and parent_process() is not None


def _answer(part: range) -> Any:
    gc.disable()  # answers are many small objects that live until the end: no need to look them through
    with blas_threads(1):  # each child has one core
        return _work[-1](part)
