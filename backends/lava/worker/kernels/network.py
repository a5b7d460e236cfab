"""Network: all populations but input and read-out, one after the other within a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernels.link import Link
from kernels.populations import AdaFire, MaxPool
from kernels.windows import Array, Shape


@dataclass(frozen=True)
class Node:
    """A population with the links into it and out of it."""

    population: AdaFire | MaxPool
    into: tuple[Link, ...]
    out_of: tuple[Link, ...]


class Network:
    """Computes what separate processes compute, hop by hop with the same delays.

    Args:
        source: Shape of the input.
        first: Links out of the input.
        nodes: In an order in which every source stands before its sinks.
        last: Links into the read-out.
    """

    def __init__(
        self, source: Shape, first: Sequence[Link], nodes: Sequence[Node], last: Sequence[Link]
    ) -> None:
        self.source, self.sink = source, last[0].sink
        self._first, self._nodes, self._last = tuple(first), tuple(nodes), tuple(last)

    def step(self, time_step: int, payloads: Array) -> Array:
        """The read-out's current from the payloads of the input; int32."""
        for link in self._first:
            link.take(payloads)
        for node in self._nodes:
            sent = node.population.step(time_step, _sum(node.into))
            for link in node.out_of:
                link.take(sent)
        return _sum(self._last)


def _sum(links: Sequence[Link]) -> Array:
    total = links[0].due()
    for link in links[1:]:
        total = total + link.due()
    return total
