"""Session: images that are advanced some steps at a time, and dropped when they are done."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

from spikec.backends.base import BackendRun
from spikec.backends.counts import empty_run
from spikec.backends.simulator.events.images import Collector, Images
from spikec.backends.simulator.events.plan import Plan
from spikec.backends.simulator.events.workspace import Workspace
from spikec.backends.simulator.threads import in_threads, slices
from spikec.compiler.arrays import Array


@dataclass
class Share:
    """One thread's images.

    Attributes:
        images: Where they are.
        count: How many are left.
    """

    images: Images
    count: int


class EventSession:
    """Images that share a plan; every thread has its part of them.

    Args:
        plan: What to run.
        inputs: Quantised inputs, (images, [T,] *shape).
        threads: Parts that run at the same time.
    """

    def __init__(self, plan: Plan, inputs: Array, threads: int) -> None:
        self.plan = plan
        self.threads = threads
        self.done = 0
        self._shares: list[Share] = []
        for part in slices(len(inputs), max(1, -(-len(inputs) // threads))):
            count = part.stop - part.start
            share = Share(Images(Workspace(plan, count, persistent=True)), count)
            share.images.start(inputs[part])
            self._shares.append(share)

    @property
    def images(self) -> int:
        """Images that are left."""
        return sum(share.count for share in self._shares)

    def advance(self, steps: int) -> BackendRun:
        """So many steps more of all images that are left; their results, (images, steps, …)."""
        when = range(self.done, self.done + steps)
        result = empty_run(self.plan.program, (self.images, steps), frozenset(), {})
        stop = Event()

        def run_share(part: slice) -> None:
            share = self._shares[part.start]
            first = sum(other.count for other in self._shares[: part.start])
            if share.count:
                share.images.advance(share.count, when, stop, None)
                place = slice(first, first + share.count)
                Collector(share.images.workspace, result, place, when).finish()

        for _ in in_threads(self.threads, run_share, slices(len(self._shares), 1), stop):
            pass
        self.done += steps
        return result

    def keep(self, positions: Array) -> None:
        """Drop all images but these.

        Args:
            positions: Ascending, among those that are left.
        """
        first = 0
        for share in self._shares:
            inside = positions[(positions >= first) & (positions < first + share.count)]
            share.images.workspace.keep(inside - first)
            first += share.count
            share.count = len(inside)
