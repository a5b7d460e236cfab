"""Study: the benches of one compilation, and how an assignment becomes a program there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spikec.compiler.ir import Graph, Neuron
from spikec.compiler.options import CompileOptions
from spikec.compiler.search.bench import Bench, Trial
from spikec.compiler.search.choices import choice_of, searched_nodes
from spikec.compiler.search.found import Found, Outcome
from spikec.compiler.search.requantize import requantized
from spikec.compiler.search.selection import Sum, first_accepted

Rebias = Callable[[Graph], Graph]
"""Corrects the biases of all populations, first to last, and nothing else."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A graph with an assignment, on both benches.

    Attributes:
        graph: Its populations have their integers and corrected biases.
        trial: On the images of the search.
        held_out: On other images.
    """

    graph: Graph
    trial: Trial
    held_out: Trial

    @property
    def outcome(self) -> Outcome:
        """Its figures."""
        return Outcome(self.trial.loss, self.trial.energy, self.held_out.agreement)


@dataclass(frozen=True, eq=False)
class Study:
    """What searches measure with.

    Attributes:
        bench: Losses and energies.
        judge: Agreement, on images that the bench does not hold.
        rebias: Makes graphs comparable.
        prices: Name of the cost table and way of counting.
    """

    bench: Bench
    judge: Bench
    rebias: Rebias
    prices: str

    @property
    def options(self) -> CompileOptions:
        """T and widths."""
        return self.bench.options

    def judged(self, graph: Graph) -> Judged:
        """A graph whose integers fit its neurons, after its biases are corrected."""
        graph = self.rebias(graph)
        return Judged(graph, self.bench.run(graph)[0], self.judge.run(graph)[0])

    def with_neurons(self, graph: Graph, neurons: Mapping[str, Neuron]) -> Graph:
        """The graph with other neurons, by name, and the integers that fit them."""
        changed = graph.mapped(
            lambda node: node.updated(neuron=neurons.get(node.name, node.neuron))
        )
        return requantized(changed, frozenset(neurons), self.options)

    def within_accuracy(
        self,
        before: Judged,
        ladder: Sequence[Sum],
        judged: Callable[[Sum], Judged],
        unchanged: Judged,
    ) -> tuple[Sum, Judged]:
        """The cheapest sum that loses no more agreement than is allowed; else what there was.

        Args:
            before: What agreement is compared with.
            ladder: From the cheapest sum to the one with the smallest loss.
            judged: Makes and measures the graph of a sum.
            unchanged: What remains if no sum is good enough.
        """
        allowed = self.options.search.accuracy_loss
        assert allowed is not None
        results: dict[int, Judged] = {}

        def accepts(at: int) -> bool:
            results[at] = judged(ladder[at])
            lost = before.held_out.agreement - results[at].held_out.agreement
            return 100 * lost <= allowed

        at = first_accepted(len(ladder), accepts)
        if at is not None:
            return ladder[at], results[at]
        choices = {
            node.name: choice_of(node.neuron)
            for node in searched_nodes(unchanged.graph)
            if node.neuron is not None
        }
        return Sum(choices, unchanged.trial.energy, unchanged.trial.loss), unchanged

    def report(self, search: str, before: Judged, chosen: Sum, after: Judged) -> Found:
        """What a search found."""
        return Found(
            search,
            self.options.search.sensitivity,
            self.prices,
            len(self.bench.calibration.images),
            len(self.judge.calibration.images),
            before.outcome,
            chosen.loss,
            chosen.energy,
            after.outcome,
            dict(chosen.choices),
        )
