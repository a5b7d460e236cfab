"""Study: the benches of one compilation, and how an assignment becomes a program there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spikec.compiler.errors import OptionError
from spikec.compiler.ir import Graph, Neuron
from spikec.compiler.options import CompileOptions
from spikec.compiler.search.bench import Bench, Trial
from spikec.compiler.search.choices import choices_of
from spikec.compiler.search.found import Found, Outcome
from spikec.compiler.search.leaving import leaving_step
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


@dataclass(eq=False)
class Study:
    """What searches measure with.

    Attributes:
        bench: Losses and energies.
        judge: Agreement, on images that the bench does not hold.
        rebias: Makes graphs comparable.
        exchange: Also moves thresholds, where a channel gains more by a spike than its layer does.
        prices: Name of the cost table and way of counting.
        reference: Of the first program that a search started from; what is lost, and shares of
            energy, are counted from there, however many searches follow each other.
    """

    bench: Bench
    judge: Bench
    rebias: Rebias
    exchange: Rebias
    prices: str
    reference: Outcome | None = None
    _leaving_step: int | None = None

    @property
    def options(self) -> CompileOptions:
        """All choices."""
        return self.bench.options

    def started(self, graph: Graph) -> Judged:
        """The graph that a search starts from, judged; it settles after which step all are judged.

        That is T, or where images may leave early, the step at which they leave the first graph
        that a search starts from. Not so where layers may become windowed, which are to be seen at
        their worst for that.
        """
        graph, loss = self.rebias(graph), self.options.exit_loss
        windows = "windowed" in self.options.search.modes
        if loss is not None and self._leaving_step is None and not windows:
            self._leaving_step = steps = leaving_step(graph, self.judge, loss)
            self.bench, self.judge = self.bench.lasting(steps), self.judge.lasting(steps)
        judged = self._judged(graph)
        self.reference = self.reference or judged.outcome
        return judged

    def judged(self, graph: Graph) -> Judged:
        """A graph whose integers fit its neurons, after its biases are corrected."""
        return self._judged(self.rebias(graph))

    def _judged(self, graph: Graph) -> Judged:
        return Judged(graph, self.bench.run(graph)[0], self.judge.run(graph)[0])

    def settled(self, judged: Judged, predicted: float) -> Judged:
        """The same after an exchange of spikes between channels, if that stays within the budget.

        It saves energy and may lose a little: agreement as far as that may be lost, or, without a
        budget in accuracy, no more than was predicted of the assignment.
        """
        result = self._judged(self.exchange(judged.graph))
        allowed = self.options.search.accuracy_loss
        if allowed is None:
            better = result.trial.loss <= max(predicted, judged.trial.loss)
        else:
            better = result.held_out.agreement >= self._least_agreement(allowed)
        return result if better else judged

    def with_neurons(self, graph: Graph, neurons: Mapping[str, Neuron]) -> Graph:
        """The graph with other neurons, by name, and the integers that fit them."""
        changed = graph.mapped(
            lambda node: node.updated(neuron=neurons.get(node.name, node.neuron))
        )
        return requantized(changed, frozenset(neurons), self.options)

    def energy_budget(self) -> tuple[float, str] | None:
        """The budget in J per image, and what to call it; None if none is given."""
        search = self.options.search
        if search.energy_budget is not None:
            return search.energy_budget, "the energy budget"
        if search.energy_ratio is not None:
            return self.energy_share(search.energy_ratio)
        return None

    def energy_share(self, ratio: float) -> tuple[float, str]:
        """A share of the first program's energy, in J per image, and what to call it."""
        assert self.reference is not None
        subject = f"an energy of {ratio:g} of the uniform program's"
        return ratio * self.reference.energy, subject

    def _least_agreement(self, lost: float) -> float:
        """The agreement that is left where so many points of it may be lost."""
        assert self.reference is not None
        return self.reference.agreement - lost / 100

    def within_accuracy(
        self,
        ladder: Sequence[Sum],
        judged: Callable[[Sum], Judged],
        unchanged: Judged,
        *,
        share: float = 1.0,
    ) -> tuple[Sum, Judged]:
        """The cheapest sum that loses no more agreement than is allowed; else what remains.

        Args:
            ladder: From the cheapest sum to the one with the smallest loss.
            judged: Makes and measures the graph of a sum.
            unchanged: What remains if no sum is good enough.
            share: Of the loss that is allowed; the rest is for a search behind this one.

        Raises:
            OptionError: The outputs are no scores of classes, so that nothing can agree.
        """
        if self.bench.divergence.axis is None:
            raise OptionError(
                "accuracy_loss counts decisions between classes, and the outputs are no scores",
                hint="give a budget in energy, or the ratio of summed losses",
            )
        allowed = self.options.search.accuracy_loss
        assert allowed is not None
        bar = self._least_agreement(share * allowed)
        results: dict[int, Judged] = {}

        def accepts(at: int) -> bool:
            results[at] = judged(ladder[at])
            return results[at].held_out.agreement >= bar

        at = first_accepted(len(ladder), accepts)
        if at is not None:
            return ladder[at], results[at]
        return Sum(
            choices_of(unchanged.graph), unchanged.trial.energy, unchanged.trial.loss
        ), unchanged

    def report(self, search: str, before: Judged, chosen: Sum, after: Judged) -> Found:
        """What a search found."""
        return Found(
            search,
            self.options.search.sensitivity,
            self.prices,
            len(self.bench.calibration.images),
            len(self.judge.calibration.images),
            self._leaving_step,
            before.outcome,
            chosen.loss,
            chosen.energy,
            after.outcome,
            dict(chosen.choices),
        )
