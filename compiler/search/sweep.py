"""Sweep: every choice of every layer, tried with all other layers as they are.

One walk over the populations in topological order keeps the spikes before the current layer. A
choice of that layer is fired on its true current, its biases are corrected on the spot, and only
what lies behind it is run. The energy of a trial is that of the whole program: what the layer
sends, by fan-out and with real borders, and what changes in the layers behind it.

A trial runs what lies behind its layer, so that all would take the square of the depth. Where more
than 20 populations lie behind, it runs on fewer images in proportion, and so does the base that it
is compared with: the more layers there are, the less each may lose, and the sum over all of them is
told as exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import Connection, Weighted
from spikec.compiler.frontier import population_nodes, visited
from spikec.compiler.ir import Graph, Neuron, Node, Quantized
from spikec.compiler.neuron_search import Freedom, NeuronSearch
from spikec.compiler.populations import AdaFire, Input, MaxPool, Population, Readout
from spikec.compiler.search.bench import Bench, Trial
from spikec.compiler.search.choices import Choice
from spikec.compiler.search.requantize import again, followed
from spikec.compiler.search.suffix import Suffix, nothing_counted
from spikec.compiler.walk import Walk

_BIAS_ROUNDS = 3
"""One try as it is, and one with the bias corrected by what the first one missed."""

_SEEN_WHOLE = 20
"""Populations behind a layer up to which its trials run on all images; as many as ResNet-20 has."""
_FEWEST = 16
"""Images that a trial runs on however deep the network is."""

Vary = Callable[[Node, Choice], Neuron]
"""The neuron of a node under a choice."""
Enough = Callable[[float], bool]
"""Whether a trial that loses so much more than the base ends the trials of its layer."""


class Sweep:
    """The walk over one graph whose populations have their integers.

    Attributes:
        base: The graph as it is, on all images.
        bases: By layer, the same on the images of its trials, where those are not all.
    """

    def __init__(self, graph: Graph, bench: Bench, vary: Vary) -> None:
        self._graph, self._bench, self._vary = graph, bench, vary
        self._options = replace(
            bench.options, bias_rounds=_BIAS_ROUNDS, weight_calibration="none", exit_loss=None
        )
        own = bench.calibration.taught_by(graph)  # what it gives, whatever its weights have learnt
        steps = replace(self._options, timesteps=bench.timesteps)
        self._walk = Walk(graph, own, bench.simulate, steps)
        self._nodes = population_nodes(graph)
        self._scales = {p.name: p.scale for p in map(_population, self._nodes)}
        self._program = bench.lowered(graph)
        self.base, self._totals = bench.run(graph)
        self.bases: dict[str, Trial] = {}

    def base_of(self, name: str) -> Trial:
        """The graph as it is, on the images of a layer's trials."""
        return self.bases.get(name, self.base)

    def run(
        self,
        choices: Mapping[str, Sequence[Choice]],
        progress: Callable[[int, int], None],
        enough: Enough = lambda excess: False,
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
                spikes = self._walk.fire(population, current)
                if choices:
                    layer = self._layer(node, node.quantized, target, current)
                    if layer.images is not None:
                        self.bases[node.name] = self.judged(layer, spikes, {})
                for choice in choices:
                    trials[choice] = self._trial(layer, choice)
                    if enough(trials[choice].loss - self.base_of(node.name).loss):
                        break
            case Readout():
                pass
        self._walk.frontier.advance(node.name, target, spikes)
        return trials

    def _layer(self, node: Node, quantized: Quantized, target: Array, current: Array) -> _Layer:
        at = self._nodes.index(node)
        images = _images(len(target), len(self._nodes) - at - 1)
        spikes: Mapping[str, Array] = self._walk.frontier.spikes
        if images is not None:
            spikes = {name: payloads[:, images] for name, payloads in spikes.items()}
        suffix = Suffix(self._program, node.name, spikes, self._bench.simulate)
        return _Layer(node, quantized, target, current, self._nodes[at + 1 :], images, suffix)

    def _trial(self, layer: _Layer, choice: Choice) -> Trial:
        name = layer.node.name
        node = layer.node.updated(neuron=self._vary(layer.node, choice))
        quantized = again(self._graph, node, self._scales, self._options)
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
        changed = followed(self._graph, layer.behind, name, quantized, self._options)
        return self.judged(layer, spikes, changed)

    def judged(self, layer: _Layer, spikes: Array, changed: Mapping[str, Quantized]) -> Trial:
        """What the program does if it differs from the base from one layer on.

        Args:
            layer: The first that differs.
            spikes: What it sends, (T, images, *shape).
            changed: Integers that differ, by name.
        """
        before = self._totals
        if layer.images is not None:
            spikes = spikes[:, layer.images]
            before = nothing_counted(self._program, len(layer.images))
        totals = layer.suffix.totals(spikes, before, changed)
        end = changed.get(self._program.readout.name)
        scale = None if end is None else end.population.scale
        return self._bench.judged(self._program, totals, images=layer.images, scale=scale)

    def _current_for(self, layer: _Layer, quantized: Quantized) -> Array:
        """The layer's current under other integers, which mostly differ by a shift alone."""
        shift = _shift(layer.quantized.connections, quantized.connections)
        if shift is None:
            return self._walk.current(quantized)
        return layer.current << shift if shift >= 0 else layer.current >> -shift


@dataclass(frozen=True, eq=False)
class _Layer:
    """One population as it is.

    Attributes:
        node: Its node.
        quantized: Its integers.
        target: The ANN's activation.
        current: Its own current.
        behind: The nodes with a neuron behind it.
        images: Indices of those that trials run on; None: all.
        suffix: What lies behind it, on those images.
    """

    node: Node
    quantized: Quantized
    target: Array
    current: Array
    behind: Sequence[Node]
    images: Int64 | None
    suffix: Suffix


def _images(count: int, behind: int) -> Int64 | None:
    """Indices of the images of a layer's trials, evenly over all; None: all.

    Args:
        count: All images.
        behind: Populations behind the layer.
    """
    wanted = max(_FEWEST, -(-count * _SEEN_WHOLE // max(1, behind)))
    return None if wanted >= count else np.arange(wanted) * count // wanted


def _population(node: Node) -> Population:
    assert node.quantized is not None
    return node.quantized.population


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
