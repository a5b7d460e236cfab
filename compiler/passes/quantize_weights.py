"""quantize-weights: every population has integer weights, threshold, bias and initial potential.

One case: each population in topological order, since weights carry the scales of their sources
and a scale is θ_int·s, known once the threshold is rounded. Nothing is simulated.
"""

from __future__ import annotations

from spikec.compiler.arrays import Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.integers import integers_of
from spikec.compiler.invariants import integers_set, neurons_placed, thresholds_set
from spikec.compiler.ir import Graph, Quantized
from spikec.compiler.lower import currents_proved
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.regions import Region


def quantize_weights(calibration: Calibration, options: CompileOptions) -> Pass:
    """The pass for given widths; ``calibration`` lends its ANN, which tells each bias."""

    def apply(graph: Graph) -> Graph:
        quantized: dict[str, Quantized] = {}
        scales: dict[str, Float64] = {}
        for node in graph:
            if node.neuron is None:
                continue
            bias = Region(graph, node.name, calibration.ann).bias()
            quantized[node.name] = integers_of(graph, node, scales, bias, options)
            scales[node.name] = quantized[node.name].population.scale
        return graph.mapped(lambda node: node.updated(quantized=quantized.get(node.name)))

    return Pass(
        "quantize-weights",
        apply,
        requires=(neurons_placed, thresholds_set),
        ensures=(integers_set, currents_proved(options)),
        exact=True,
    )
