"""Sweep: every choice of every layer, tried with all other layers as they are.

One walk over the populations in topological order keeps the spikes before the current layer. A
choice of that layer is fired on its true current, its biases are corrected on the spot, and only
what lies behind it is run. The energy of a trial is that of the whole program: what the layer
sends, by fan-out and with real borders, and what changes in the layers behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.connections import Connection, Weighted
from spikec.compiler.frontier import visited
from spikec.compiler.ir import Graph, Neuron, Node, Quantized
from spikec.compiler.neuron_search import Freedom, NeuronSearch
from spikec.compiler.populations import AdaFire, Input, MaxPool, Readout
from spikec.compiler.search.bench import Bench, Trial
from spikec.compiler.search.choices import Choice
from spikec.compiler.search.requantize import again, requantized
from spikec.compiler.search.suffix import cut_behind
from spikec.compiler.walk import Walk

_BIAS_ROUNDS = 3
"""One try as it is, and one with the bias corrected by what the first one missed."""

Vary = Callable[[Node, Choice], Neuron]
"""The neuron of a node under a choice."""
Enough = Callable[[Trial], bool]
"""Whether a trial is so bad that later choices of its layer need not be tried."""


class Sweep:
    """The walk over one graph whose populations have their integers.

    Attributes:
        base: The graph as it is.
    """

    def __init__(self, graph: Graph, bench: Bench, vary: Vary) -> None:
        self._graph, self._bench, self._vary = graph, bench, vary
        self._options = replace(
            bench.options, bias_rounds=_BIAS_ROUNDS, weight_calibration="none", exit_loss=None
        )
        own = bench.calibration.taught_by(graph)  # what it gives, whatever its weights have learnt
        steps = replace(self._options, timesteps=bench.timesteps)
        self._walk = Walk(graph, own, bench.simulate, steps)
        self._scales: dict[str, Float64] = {}
        self.base, self._totals = bench.run(graph)

    def run(
        self,
        choices: Mapping[str, Sequence[Choice]],
        progress: Callable[[int, int], None],
        enough: Enough = lambda trial: False,
    ) -> dict[str, dict[Choice, Trial]]:
        """A trial of every choice, by layer.

        Args:
            choices: By layer, in the order in which they are tried.
            progress: Told of layers done and in all.
            enough: Ends the trials of a layer.
        """
        trials: dict[str, dict[Choice, Trial]] = {}
        for node in visited(self._graph, progress):
            found = self._visit(node, choices.get(node.name, ()), enough)
            if found:
                trials[node.name] = found
        return trials

    def _visit(self, node: Node, choices: Sequence[Choice], enough: Enough) -> dict[Choice, Trial]:
        assert node.quantized is not None
        population = node.quantized.population
        target = self._walk.target(node)
        spikes: Array | None = None
        trials: dict[Choice, Trial] = {}
        match population:
            case Input():
                spikes = self._walk.encoded(population, target)
            case AdaFire() | MaxPool():
                current = self._walk.current(node.quantized)
                layer = _Layer(node, node.quantized, target, current)
                for choice in choices:
                    trials[choice] = self._trial(layer, choice)
                    if enough(trials[choice]):
                        break
                spikes = self._walk.fire(population, current)
            case Readout():
                pass
        self._walk.frontier.advance(node.name, target, spikes)
        self._scales[node.name] = population.scale
        return trials

    def _trial(self, layer: _Layer, choice: Choice) -> Trial:
        name = layer.node.name
        node = layer.node.updated(neuron=self._vary(layer.node, choice))
        graph = self._graph.mapped(lambda other: node if other.name == name else other)
        quantized = again(graph, node, self._scales, self._options)
        current = self._current_for(layer, quantized)
        search = NeuronSearch(
            node,
            quantized,
            layer.target,
            lambda trial, images: self._walk.fire(trial, current[:, :images]),
            self._options,
            freedom=Freedom.BIAS,
            timesteps=self._bench.timesteps,
        )
        quantized = search.run()
        assert isinstance(quantized.population, AdaFire)
        spikes = self._walk.fire(quantized.population, current)
        graph = requantized(graph, frozenset(), self._options, {name: quantized})
        return self.judged(graph, name, spikes)

    def judged(self, graph: Graph, name: str, spikes: Array) -> Trial:
        """What the program of a graph does, if it differs from the base from one layer on.

        Args:
            graph: All that stands before the layer is as in the base.
            name: The layer.
            spikes: What it sends, (T, images, *shape).
        """
        program = self._bench.lowered(graph)
        suffix = cut_behind(program, name, {**self._walk.frontier.spikes, name: spikes})
        totals = self._bench.simulate.totals(suffix.program, suffix.inputs)
        return self._bench.judged(program, suffix.completed(totals, self._totals))

    def _current_for(self, layer: _Layer, quantized: Quantized) -> Array:
        """The layer's current under other integers, which mostly differ by a shift alone."""
        shift = _shift(layer.quantized.connections, quantized.connections)
        if shift is None:
            return self._walk.current(quantized)
        return layer.current << shift if shift >= 0 else layer.current >> -shift


class _Layer:
    """One population as it is: its node, integers, the ANN's activation and its own current."""

    def __init__(self, node: Node, quantized: Quantized, target: Array, current: Array) -> None:
        self.node, self.quantized = node, quantized
        self.target, self.current = target, current


def _shift(before: Sequence[Connection], after: Sequence[Connection]) -> int | None:
    """By how many bits all currents are shifted left; None where weights differ as well."""
    shifts = {new.exponent - old.exponent for old, new in zip(before, after, strict=True)}
    if len(shifts) != 1:
        return None
    if not all(map(np.array_equal, _weights(before), _weights(after))):
        return None
    return shifts.pop()


def _weights(connections: Sequence[Connection]) -> list[Array]:
    return [f.weights for c in connections for f in c.factors if isinstance(f, Weighted)]
