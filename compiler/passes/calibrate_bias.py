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

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.frontier import misled_behind, visited
from spikec.compiler.integers import integers_of
from spikec.compiler.invariants import integers_set
from spikec.compiler.ir import Graph, Neuron, Node, Quantized
from spikec.compiler.lower import currents_proved
from spikec.compiler.neuron_search import Freedom, NeuronSearch
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.populations import AdaFire, Input, MaxPool, Readout
from spikec.compiler.simulation import Simulate
from spikec.compiler.walk import Walk
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
        quantized = {node.name: walk.visit(node) for node in visited(graph, progress)}
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


class _Walk(Walk):
    def __init__(
        self, graph: Graph, calibration: Calibration, simulate: Simulate, options: CompileOptions
    ) -> None:
        super().__init__(graph, calibration, simulate, options)
        self._scales: dict[str, Float64] = {}
        self.freedom = Freedom.ALL
        self._misled = misled_behind(graph)
        self.neurons: dict[str, Neuron] = {}

    def visit(self, node: Node) -> Quantized:
        """The corrected integers of one population."""
        assert node.quantized is not None
        bias = node.quantized.bias
        quantized = integers_of(self.graph, node, self._scales, bias, self.options)
        target = self.target(node)
        spikes: Array | None
        if isinstance(quantized.population, Input):
            spikes = self.encoded(quantized.population, target)
        else:
            quantized, spikes = self._corrected(node, quantized, target)
        self.frontier.advance(node.name, target, spikes)
        self._scales[node.name] = quantized.population.scale
        return quantized

    def _corrected(
        self, node: Node, quantized: Quantized, target: Array
    ) -> tuple[Quantized, Array | None]:
        population = quantized.population
        current = self.current(quantized)
        if isinstance(population, AdaFire) and self.options.weight_calibration in _FITTED:
            evidence = Evidence(self.drive(node), current, self.frontier.spikes)
            fitted = fit_weights(quantized, evidence, self._simulate, self.options)
            if fitted is not quantized:
                quantized, current = fitted, self.current(fitted)
        match population:
            case Readout():
                return self.read_out(node, quantized, current, target), None
            case MaxPool():
                return quantized, self.fire(population, current)
            case AdaFire():
                first = _first_images(current)
                search = NeuronSearch(
                    node,
                    quantized,
                    target,
                    lambda trial, images: self.fire(trial, first(images)),
                    self.options,
                    freedom=self.freedom,
                    misled=self._misled[node.name],
                )
                quantized = search.run()
                self.neurons[node.name] = search.neuron
                assert isinstance(quantized.population, AdaFire)
                return quantized, self.fire(quantized.population, current)
            case Input():
                raise TypeError("an input receives no current")


def _first_images(current: Array) -> Callable[[int], Array]:
    """Current of the first so many images, (T, count, *shape), one piece of memory.

    All trials of a search read the same images; the last ones that were asked for are kept.
    """
    held = current

    def first(count: int) -> Array:
        nonlocal held
        if held.shape[1] != count:
            held = np.ascontiguousarray(current[:, :count])
        return held

    return first
