"""calibrate-bias: the mean of every channel in the integer program is the ANN's.

One walk over the populations in topological order; each is corrected on the spikes of the
already corrected ones before it.

Cases:
1. adafire: in each round b += η·(A − S)/max(f, 0.1) per channel, with A the ANN's mean activation,
   S the program's, and f the share of outputs that can still move (0 < s̄ < φθ). Each channel keeps
   the round with the least squared error on images that were not measured on.
   Source: paper 1 (ICML 2021), section 4.3, bias shift; the slope f and the rounds are ours.
2. readout: b += A − S once; it is linear.
3. input, max_pool: left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.fixed_point import largest, rounded
from spikec.compiler.frontier import Frontier, population_nodes, sources_of
from spikec.compiler.invariants import integers_set
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.lower import currents_proved
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.populations import AdaFire, Fire, Input, MaxPool, Readout
from spikec.compiler.quantization import with_bias
from spikec.compiler.regions import Region
from spikec.compiler.simulation import Simulate

_STEP = 0.7
"""η: damps a correction whose slope is only estimated."""
_LEAST_SLOPE = 0.1
"""Bounds the correction of channels in which almost nothing can move."""
_HELD_OUT = 4
"""One image in so many judges a round instead of being measured on."""


@dataclass(frozen=True, eq=False)
class _Measured:
    """One round, per channel: correction that was tried, the next one, held-out squared error."""

    correction: Float64
    proposal: Float64
    error: Float64


def calibrate_bias(
    calibration: Calibration,
    simulate: Simulate,
    options: CompileOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pass:
    """The pass for given images; ``simulate`` tells the integer spikes."""

    def apply(graph: Graph) -> Graph:
        walk = _Walk(graph, calibration, simulate, options)
        nodes = population_nodes(graph)
        quantized = {}
        for done, node in enumerate(nodes):
            progress(done, len(nodes))
            quantized[node.name] = walk.visit(node)
        progress(len(nodes), len(nodes))
        return graph.mapped(lambda node: node.updated(quantized=quantized.get(node.name)))

    return Pass(
        "calibrate-bias",
        apply,
        requires=(integers_set,),
        ensures=(integers_set, currents_proved(options)),
        exact=True,
    )


class _Walk:
    def __init__(
        self, graph: Graph, calibration: Calibration, simulate: Simulate, options: CompileOptions
    ) -> None:
        self._graph = graph
        self._calibration = calibration
        self._simulate = simulate
        self._options = options
        self._frontier = Frontier(graph)

    def visit(self, node: Node) -> Quantized:
        """The corrected integers of one population."""
        quantized = node.quantized
        assert quantized is not None
        target = self._target(node)
        spikes: Array | None
        if isinstance(quantized.population, Input):
            spikes = _encoded(quantized.population, target)
        else:
            quantized, spikes = self._corrected(node, quantized, target)
        self._frontier.advance(node.name, target, spikes)
        return quantized

    def _target(self, node: Node) -> Array:
        """The ANN's activation, (images, *shape)."""
        if not sources_of(self._graph, node):
            batches = self._calibration.activations(self._graph, [node.name])
            return np.concatenate([batch[node.name] for batch in batches])
        region = Region(self._graph, node.name, self._calibration.ann)
        return region.activation(
            {source: self._frontier.activations[source] for source in region.sources}
        )

    def _corrected(
        self, node: Node, quantized: Quantized, target: Array
    ) -> tuple[Quantized, Array | None]:
        population = quantized.population
        current = self._simulate.currents(population, quantized.connections, self._frontier.spikes)
        match population:
            case Readout():
                return self._read_out(node, quantized, current, target), None
            case MaxPool():
                return quantized, self._fire(population, current)
            case AdaFire():
                quantized = self._rounds(node, quantized, current, target)
                assert isinstance(quantized.population, AdaFire)
                return quantized, self._fire(quantized.population, current)
            case Input():
                raise TypeError("an input receives no current")

    def _fire(self, population: AdaFire | MaxPool, current: Array) -> Array:
        vmax = largest(self._options.membrane_bits)
        return self._simulate.fire(population, current, self._options.timesteps, vmax).spikes

    def _read_out(
        self, node: Node, quantized: Quantized, current: Array, target: Array
    ) -> Quantized:
        mean_current = current.mean(axis=0, dtype=np.float64) * quantized.step + quantized.bias
        correction = (target - mean_current).mean(axis=0)
        return with_bias(node, quantized, quantized.bias + correction, self._options)

    def _rounds(self, node: Node, quantized: Quantized, current: Array, target: Array) -> Quantized:
        correction = np.zeros(node.known_shape()[0])
        best: _Measured | None = None
        for _ in range(self._options.bias_rounds + 1 if self._options.bias_rounds else 0):
            measured = self._measure(node, quantized, correction, current, target)
            best = measured if best is None else _better(best, measured)
            correction = measured.proposal
        if best is None:
            return quantized
        return self._shifted(node, quantized, best.correction)

    def _shifted(self, node: Node, quantized: Quantized, correction: Float64) -> Quantized:
        shift = correction.reshape(-1, *[1] * (len(node.known_shape()) - 1))
        return with_bias(node, quantized, quantized.bias + shift, self._options)

    def _measure(
        self, node: Node, quantized: Quantized, correction: Float64, current: Array, target: Array
    ) -> _Measured:
        population = self._shifted(node, quantized, correction).population
        assert isinstance(population, AdaFire)
        timesteps = self._options.timesteps
        count = self._fire(population, current).sum(axis=0, dtype=np.int32)
        reached = count * (population.scale / timesteps).astype(np.float32)
        error = reached - target
        judged = len(error) > 1
        held_out = slice(_HELD_OUT - 1, None, _HELD_OUT) if judged else slice(None)
        seen = np.ones(len(error), dtype=bool)
        seen[held_out] = not judged
        top = population.phi * timesteps
        low = -top if population.fire is Fire.SIGNED else 0
        moving = ((count[seen] > low) & (count[seen] < top)).astype(np.float32)
        slope = np.maximum(_channel_means(moving), _LEAST_SLOPE)
        proposal = correction - _STEP * _channel_means(error[seen]) / slope
        return _Measured(correction, proposal, _channel_means(error[held_out] ** 2))


def _better(best: _Measured, other: _Measured) -> _Measured:
    """Per channel the round with the smaller error; an earlier one wins a tie."""
    wins = other.error < best.error
    return _Measured(
        np.where(wins, other.correction, best.correction),
        other.proposal,
        np.where(wins, other.error, best.error),
    )


def _channel_means(values: Array) -> Float64:
    """(images, C, …) → (C,)."""
    rest = (0, *range(2, values.ndim))
    means: Float64 = values.mean(axis=rest, dtype=np.float64)
    return means


def _encoded(population: Input, activation: Array) -> Array:
    """The payloads of an input whose encoded activation is given, (1, images, *shape)."""
    units = np.rint(activation.astype(np.float64) / population.scale)
    return rounded(units, largest(population.bits))[None]
