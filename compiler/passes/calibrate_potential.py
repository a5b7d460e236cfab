"""calibrate-potential: every neuron starts where its own mean error on calibration images is least.

One walk over the populations in topological order, each on the spikes of the already corrected
ones before it. To first order an initial potential v0 shifts the time mean by v0·s/T, with s the
real value of one unit. Source: paper 1 (ICML 2021), section 4.3, potential correction; that it is
judged on images held back, layer by layer, is ours.

Cases:
1. adafire: v0 += T·mean(a − s̄)/s per neuron, measured in the integer program on three of four
   images; kept for the layer if the error on the fourth falls.
2. readout: the bias once more, as the last one kept, if the error on those images falls.
3. input, max_pool: left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.calibration import Calibration
from spikec.compiler.copies import together
from spikec.compiler.fixed_point import largest, rounded
from spikec.compiler.frontier import visited
from spikec.compiler.invariants import integers_set
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.lower import currents_proved
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.populations import AdaFire, Input, MaxPool, Readout
from spikec.compiler.simulation import Simulate
from spikec.compiler.walk import Walk

_HELD_BACK = 4
"""One in so many images judges."""


def calibrate_potential(
    calibration: Calibration,
    simulate: Simulate,
    options: CompileOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pass:
    """The pass for given images; ``simulate`` tells the integer spikes."""

    def apply(graph: Graph) -> Graph:
        walk = _Walk(graph, calibration, simulate, options)
        quantized = {node.name: walk.visit(node) for node in visited(graph, progress)}
        return graph.mapped(lambda node: node.updated(quantized=quantized.get(node.name)))

    return Pass(
        "calibrate-potential",
        apply,
        requires=(integers_set,),
        ensures=(integers_set, currents_proved(options)),
        exact=True,
    )


class _Walk(Walk):
    def visit(self, node: Node) -> Quantized:
        """The integers of one population with its initial potentials."""
        quantized = node.quantized
        assert quantized is not None
        target = self.target(node)
        spikes: Array | None = None
        match quantized.population:
            case Input() as population:
                spikes = self.encoded(population, target)
            case MaxPool() as population:
                spikes = self.fire(population, self.current(quantized))
            case AdaFire():
                quantized, spikes = self._with_potential(node, quantized, target)
            case Readout():
                quantized = self._read_out_again(node, quantized, target)
        self.frontier.advance(node.name, target, spikes)
        return quantized

    def _with_potential(
        self, node: Node, quantized: Quantized, target: Array
    ) -> tuple[Quantized, Array]:
        population = quantized.population
        assert isinstance(population, AdaFire)
        assert node.neuron is not None
        copy_of = node.neuron.copy_of
        current = self.current(quantized)
        spikes = self.fire(population, current)
        judges = _judges(len(target))
        if judges.all():
            return quantized, spikes
        error = together(self._error(population, spikes, target), copy_of)
        shift = -self.options.timesteps * error[~judges].mean(axis=0) / quantized.step
        limit = largest(self.options.membrane_bits)
        initial = np.clip(population.initial + rounded(shift, limit), -limit, limit)
        moved = replace(population, initial=initial)
        answer = self.fire(moved, current)
        after = together(self._error(moved, answer, target), copy_of)
        if not (after[judges] ** 2).sum() < (error[judges] ** 2).sum():
            return quantized, spikes
        return replace(quantized, population=moved), answer

    def _error(self, population: AdaFire, spikes: Array, target: Array) -> Array:
        """s̄ − a, float64, (images, *shape)."""
        count = spikes.sum(axis=0, dtype=np.int64)
        error: Array = count * (population.scale / self.options.timesteps) - target
        return error

    def _read_out_again(self, node: Node, quantized: Quantized, target: Array) -> Quantized:
        current = self.current(quantized)
        judges = _judges(len(target))
        if judges.all():
            return quantized
        moved = self.read_out(node, quantized, current[:, ~judges], target[~judges])
        mean = self.mean_current(current[:, judges])
        before, after = (
            (((mean + _bias(each)) * each.step - target[judges]) ** 2).sum()
            for each in (quantized, moved)
        )
        return moved if after < before else quantized


def _bias(quantized: Quantized) -> Array:
    assert isinstance(quantized.population, Readout)
    return quantized.population.bias


def _judges(images: int) -> Array:
    """Which images judge, bool; all if there are too few to learn from."""
    return np.arange(images) % _HELD_BACK == 0 if images > 1 else np.ones(images, bool)
