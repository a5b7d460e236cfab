"""Threads that take parts of a batch, each on one core, so that sums never depend on their number.

torch's own threads split sums by how many there are; parts of fixed size, each summed by one
thread and put together in order, give equal numbers everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def working(most: int) -> Iterator[Executor]:
    """As many threads as torch would use, but no more than given."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(min(before, most), initializer=lambda: torch.set_num_threads(1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
