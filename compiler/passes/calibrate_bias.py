"""calibrate-bias: every channel of the integer program is as close to the ANN's as can be found.

One walk over the populations in topological order. Each is quantised with the final scales of its
sources and corrected on their already corrected spikes, so that no layer is run for another's sake.

Cases:
1. adafire: with weight_calibration "fit", integer weights fitted to the spikes that they read by
   ``weight_fit``; then bias, threshold and delay of each channel by ``neuron_search``; the bias in
   rounds of
   b += η·(A − S)/max(f, 0.1), with A the ANN's mean activation, S the program's, and f the share
   of outputs that can still move (0 < s̄ < φθ). Source: paper 1 (ICML 2021), section 4.3, bias
   shift; the slope f, the rounds, the delay and the judgement by squared error are ours.
2. readout: b += A − S once; it is linear.
3. input, max_pool: quantised, else left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.fixed_point import largest, rounded
from spikec.compiler.frontier import Frontier, population_nodes, sources_of
from spikec.compiler.integers import integers_of
from spikec.compiler.invariants import integers_set
from spikec.compiler.ir import Graph, Neuron, Node, Quantized
from spikec.compiler.lower import currents_proved
from spikec.compiler.neuron_search import Freedom, NeuronSearch, channel_means
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.populations import AdaFire, Input, MaxPool, Readout
from spikec.compiler.quantization import Setting, with_setting
from spikec.compiler.regions import Region
from spikec.compiler.simulation import Simulate
from spikec.compiler.weight_fit import Evidence, fit_weights


def calibrate_bias(
    calibration: Calibration,
    simulate: Simulate,
    options: CompileOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    freedom: Freedom = Freedom.ALL,
) -> Pass:
    """The pass for given images; ``simulate`` tells the integer spikes.

    Thresholds and delays that change are also noted in the neurons, for passes behind this one.
    ``freedom`` says whether they may.
    """

    def apply(graph: Graph) -> Graph:
        walk = _Walk(graph, calibration, simulate, options)
        walk.freedom = freedom
        nodes = population_nodes(graph)
        quantized = {}
        for done, node in enumerate(nodes):
            progress(done, len(nodes))
            quantized[node.name] = walk.visit(node)
        progress(len(nodes), len(nodes))
        return graph.mapped(
            lambda node: node.updated(
                quantized=quantized.get(node.name),
                neuron=walk.neurons.get(node.name, node.neuron),
            )
        )

    return Pass(
        "calibrate-bias",
        apply,
        requires=(integers_set,),
        ensures=(integers_set, currents_proved(options)),
        exact=True,
    )


_FITTED = ("fit",)
"""Weight calibrations whose integer weights are fitted once more."""


class _Walk:
    def __init__(
        self, graph: Graph, calibration: Calibration, simulate: Simulate, options: CompileOptions
    ) -> None:
        self._graph = graph
        self._calibration = calibration
        self._simulate = simulate
        self._options = options
        self._frontier = Frontier(graph)
        self._scales: dict[str, Float64] = {}
        self.freedom = Freedom.ALL
        self.neurons: dict[str, Neuron] = {}

    def visit(self, node: Node) -> Quantized:
        """The corrected integers of one population."""
        assert node.quantized is not None
        bias = node.quantized.bias
        quantized = integers_of(self._graph, node, self._scales, bias, self._options)
        target = self._target(node)
        spikes: Array | None
        if isinstance(quantized.population, Input):
            spikes = _encoded(quantized.population, target)
        else:
            quantized, spikes = self._corrected(node, quantized, target)
        self._frontier.advance(node.name, target, spikes)
        self._scales[node.name] = quantized.population.scale
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
        current = self._current(quantized)
        if isinstance(population, AdaFire) and self._options.weight_calibration in _FITTED:
            evidence = Evidence(self._drive(node), current, self._frontier.spikes)
            fitted = fit_weights(quantized, evidence, self._simulate, self._options)
            if fitted is not quantized:
                quantized, current = fitted, self._current(fitted)
        match population:
            case Readout():
                return self._read_out(node, quantized, current, target), None
            case MaxPool():
                return quantized, self._fire(population, current)
            case AdaFire():
                search = NeuronSearch(
                    node,
                    quantized,
                    target,
                    lambda trial, images: self._fire(trial, current[:, :images]),
                    self._options,
                    freedom=self.freedom,
                )
                quantized = search.run()
                self.neurons[node.name] = search.neuron
                assert isinstance(quantized.population, AdaFire)
                return quantized, self._fire(quantized.population, current)
            case Input():
                raise TypeError("an input receives no current")

    def _current(self, quantized: Quantized) -> Array:
        return self._simulate.currents(
            quantized.population, quantized.connections, self._frontier.spikes
        )

    def _drive(self, node: Node) -> Array:
        """The ANN's current, (images, *shape)."""
        region = Region(self._graph, node.name, self._calibration.ann)
        return region.drive(
            {source: self._frontier.activations[source] for source in region.sources}
        )

    def _fire(self, population: AdaFire | MaxPool, current: Array) -> Array:
        vmax = largest(self._options.membrane_bits)
        return self._simulate.fire(population, current, self._options.timesteps, vmax).spikes

    def _read_out(
        self, node: Node, quantized: Quantized, current: Array, target: Array
    ) -> Quantized:
        mean_current = current.mean(axis=0, dtype=np.float64) * quantized.step + quantized.bias
        correction = channel_means(target - mean_current)
        setting = replace(Setting.neutral(len(correction)), correction=correction)
        return with_setting(node, quantized, setting, self._options)


def _encoded(population: Input, activation: Array) -> Array:
    """The payloads of an input whose encoded activation is given, (1, images, *shape)."""
    units = np.rint(activation.astype(np.float64) / population.scale)
    return rounded(units, largest(population.bits))[None]
