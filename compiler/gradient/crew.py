"""Threads that take parts of a batch, each on one core, so that sums never depend on their number.

torch's own threads split sums by how many there are; parts of fixed size, each summed by one
thread and put together in order, give equal numbers everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


class Crew:
    """Some threads at work."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def __call__(self, work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """The results in the order of the parts."""
        return list(self._pool.map(work, parts))


@contextmanager
def working(most: int) -> Iterator[Crew]:
    """A crew of as many threads as torch would use, but no more than given."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(min(before, most), initializer=lambda: torch.set_num_threads(1))
    try:
        yield Crew(pool)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
