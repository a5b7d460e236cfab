"""assign-firing: φ and firing mode of every population that fires, by a search within a budget.

Cases:
1. φ (paper 2, AAAI 2025, AdaFire): each layer at each φ, the others as they are, thresholds
   searched again; then the Pareto programme of ``search.pareto`` over the sums of losses and
   energies.
2. Firing mode: the same trials for each allowed mode, or each mode for the whole network.
3. Budget in energy: the smallest loss within it. Budget in accuracy: the cheapest assignment whose
   agreement with the ANN on held-out images is low by no more; the program as it was if there is
   none. Where spikes are compressed behind this search, the whole budget is theirs: what loses
   least, and what costs less without losing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from spikec.compiler.activations import ChannelSamples
from spikec.compiler.invariants import integers_set, neurons_placed, thresholds_set
from spikec.compiler.ir import Graph, Neuron, Node
from spikec.compiler.lower import currents_proved
from spikec.compiler.passes.base import Pass
from spikec.compiler.search.choices import (
    Choice,
    Mode,
    choice_of,
    choices_of,
    fired_as,
    modes_for,
    neuron_of,
    searched_nodes,
)
from spikec.compiler.search.found import Found
from spikec.compiler.search.latency import latency
from spikec.compiler.search.selection import Catalogue, Sum, with_few_windows
from spikec.compiler.search.study import Judged, Study
from spikec.compiler.search.sweep import Sweep
from spikec.compiler.thresholds import activation_samples, best_threshold

_DEFAULT_RATIO = 0.95
"""Energy in units of the uniform program's. Source: default of the code of paper 2."""


def assign_firing(
    study: Study,
    told: Callable[[Found], None] = lambda found: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pass:
    """The pass for given images; ``told`` receives what it found."""

    def apply(graph: Graph) -> Graph:
        firing = _Firing(graph, study)
        before = study.started(graph)
        chosen, after = firing.chosen(before, firing.start(before), progress)
        told(study.report("firing", before, chosen, after))
        return after.graph

    return Pass(
        "assign-firing",
        apply,
        requires=(neurons_placed, thresholds_set, integers_set),
        ensures=(neurons_placed, thresholds_set, integers_set, currents_proved(study.options)),
        exact=True,
    )


class _Firing:
    def __init__(self, graph: Graph, study: Study) -> None:
        self._study, self._search = study, study.options.search
        names = [node.name for node in searched_nodes(graph)]
        self._samples: dict[str, ChannelSamples] = activation_samples(
            graph, names, study.bench.calibration, study.options
        )

    def start(self, before: Judged) -> Judged:
        """What trials differ from in one layer: the network in the allowed mode that loses least.

        A layer alone in another mode sends its spikes at other times than those behind it are
        calibrated for; what a mode is worth shows where all layers fire in it. So it is with a
        larger φ, which is tried where compression will pay for it.
        """
        results = [before] if self._allowed(before.graph) else []
        for graph in self._uniform(before.graph):
            if self._allowed(graph):
                results.append(self._study.judged(graph))
        return min(results, key=lambda result: result.trial.loss, default=before)

    def _uniform(self, graph: Graph) -> Iterator[Graph]:
        """The network in each mode that is asked for, at the largest φ if compression pays."""
        raised = self._search.phi and self._leaves_energy() and self._top > self._study.options.phi
        asked: list[tuple[Mode, ...]] = [(Mode(mode),) for mode in self._search.modes]
        for modes in asked or ([()] if raised else []):
            neurons = {}
            for node in searched_nodes(graph):
                own = neuron_of(node)
                phi = self._top if raised else own.phi
                neurons[node.name] = self._neuron(node, Choice(phi, modes_for(own, modes)[0]))
            yield self._study.with_neurons(graph, neurons)

    def chosen(
        self, before: Judged, start: Judged, progress: Callable[[int, int], None]
    ) -> tuple[Sum, Judged]:
        """The assignment, and the graph that it makes."""
        sweep = Sweep(start.graph, self._study.bench, self._neuron)
        own = choices_of(start.graph)
        choices = {node.name: self._choices(node) for node in searched_nodes(start.graph)}
        others = {name: [c for c in found if c != own[name]] for name, found in choices.items()}
        trials = sweep.run(others, progress) if any(others.values()) else {}
        for name in own:
            if own[name] in choices[name]:
                trials[name] = {own[name]: sweep.base_of(name), **trials.get(name, {})}
        few = with_few_windows(trials, self._windows(start))
        catalogue = Catalogue(few, sweep.base, sweep.bases)
        if self._search.accuracy_loss is not None:
            unchanged = self._unchanged(before, start)
            return self._study.within_accuracy(
                catalogue.ladder(),
                lambda each: self._judged(start, each),
                unchanged,
                share=0.0 if self._compressed_behind() else 1.0,
            )
        chosen = catalogue.within_energy(*self._energy_budget())
        return chosen, self._judged(start, chosen)

    def _compressed_behind(self) -> bool:
        """Whether spikes are compressed within the same budget behind this search.

        It is left whole to them then, in accuracy as in energy: a layer at a large φ whose spikes
        are compressed loses less than one at a small φ (docs/accuracy.md, "Energy").
        """
        search, passes = self._search, self._study.options.passes
        if search.compression_ratio is not None:
            return False
        behind = passes[passes.index("assign-firing") :] if passes else ("compress-spikes",)
        return search.compression and "compress-spikes" in behind

    def _leaves_energy(self) -> bool:
        """Whether a budget in energy is kept by compression alone."""
        return self._study.energy_budget() is not None and self._compressed_behind()

    @property
    def _top(self) -> int:
        """The largest φ that a layer may have."""
        return self._search.phi_max or self._study.options.phi

    def _windows(self, start: Judged) -> int:
        """How many more layers may be windowed."""
        layers = len(searched_nodes(start.graph))
        steps, limit = self._study.options.timesteps, self._search.latency
        if limit is None or all(neuron_of(n).windowed for n in searched_nodes(start.graph)):
            return layers
        return (limit - latency(start.graph, steps)) // steps

    def _unchanged(self, before: Judged, start: Judged) -> Judged:
        """What remains if no assignment is good enough."""
        allowed = self._search.accuracy_loss
        assert allowed is not None
        lost = 100 * (before.held_out.agreement - start.held_out.agreement)
        return start if lost <= allowed or not self._allowed(before.graph) else before

    def _allowed(self, graph: Graph) -> bool:
        """Whether all layers fire in allowed modes, and a run takes no more steps than it may."""
        limit, modes = self._search.latency, tuple(map(Mode, self._search.modes))
        fitting = not modes or all(
            choice_of(neuron).mode in modes_for(neuron, modes)
            for neuron in map(neuron_of, searched_nodes(graph))
        )
        return fitting and (limit is None or latency(graph, self._study.options.timesteps) <= limit)

    def _energy_budget(self) -> tuple[float, str]:
        """The budget in J per image, and what to call it."""
        given = self._study.energy_budget()
        modes_alone = given is None and not self._search.phi
        if modes_alone or self._leaves_energy():  # whichever lose least
            return math.inf, "no budget"
        return given or self._study.energy_share(_DEFAULT_RATIO)

    def _judged(self, start: Judged, chosen: Sum) -> Judged:
        graph = start.graph
        neurons = {n: self._neuron(graph[n], choice) for n, choice in chosen.choices.items()}
        return self._study.judged(self._study.with_neurons(graph, neurons))

    def _choices(self, node: Node) -> list[Choice]:
        search, own = self._search, choice_of(neuron_of(node))
        allowed: tuple[Mode, ...] = (own.mode,)
        if search.modes and not search.uniform_mode:
            allowed = modes_for(neuron_of(node), tuple(map(Mode, search.modes)))
        phis = range(search.phi_min, self._top + 1) if search.phi else (own.phi,)
        return [Choice(phi, mode) for mode in allowed for phi in phis]

    def _neuron(self, node: Node, choice: Choice) -> Neuron:
        """The neuron of a choice, with the thresholds that suit it."""
        own = neuron_of(node)
        if choice == choice_of(own):
            return own
        neuron = fired_as(own, choice)
        threshold = best_threshold(self._samples[node.name], neuron, self._study.options)
        return replace(neuron, threshold=threshold)
