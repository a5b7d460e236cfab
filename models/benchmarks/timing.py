"""Interleaved timing: what is compared runs in turns, in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

SHORTEST_SAMPLE = 0.05
"""Seconds; anything faster is called several times per sample."""


class Spread(NamedTuple):
    """Median and quartiles of a figure over the repeats."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of one value at least."""
        values = [float(value) for value in values]
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(low, median, high)


@dataclass(frozen=True)
class Samples:
    """Seconds per call, one entry per repeat.

    Attributes:
        cpu: CPU time of the process, all its threads together.
        wall: Time that passed.
    """

    cpu: tuple[float, ...]
    wall: tuple[float, ...]


def interleaved(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Samples]:
    """Time every work once per repeat, in turns, after a first call that is not timed.

    CPU time of the process counts what a library does in threads of its own, too; with one thread
    it is that thread's time, and other processes on the machine do not enter it.
    """
    calls = {name: _calls(work) for name, work in works.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            taken[name].append(_timed(work, calls[name]))
    return {
        name: Samples(tuple(cpu for cpu, _ in pairs), tuple(wall for _, wall in pairs))
        for name, pairs in taken.items()
    }


def _calls(work: Callable[[], object]) -> int:
    """Calls per sample, found after one call that loads and prepares what later ones reuse."""
    work()
    _, wall = _timed(work, 1)
    return max(1, round(SHORTEST_SAMPLE / max(wall, 1e-6)))


def _timed(work: Callable[[], object], calls: int) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        work()
    return (time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls
