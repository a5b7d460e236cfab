"""quantize-weights: every population has integer weights, threshold, bias and initial potential.

One case: each population by ``integers.with_integers``. Nothing is simulated.
"""

from __future__ import annotations

from spikec.compiler.arrays import Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.integers import with_integers
from spikec.compiler.invariants import integers_set, neurons_placed, thresholds_set
from spikec.compiler.ir import Graph, Node
from spikec.compiler.lower import currents_proved
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.regions import Region


def quantize_weights(calibration: Calibration, options: CompileOptions) -> Pass:
    """The pass for given widths; ``calibration`` lends its ANN, which tells each bias."""

    def apply(graph: Graph) -> Graph:
        def bias(node: Node) -> Float64:
            return Region(graph, node.name, calibration.ann).bias()

        return with_integers(graph, bias, options)

    return Pass(
        "quantize-weights",
        apply,
        requires=(neurons_placed, thresholds_set),
        ensures=(integers_set, currents_proved(options)),
        exact=True,
    )
