"""Bench: images, the ANN's answers on them, a simulator and prices; they judge programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.encoding import encoded
from spikec.compiler.ir import Graph
from spikec.compiler.lower import lower
from spikec.compiler.options import CompileOptions
from spikec.compiler.program import Program
from spikec.compiler.search.divergence import Divergence
from spikec.compiler.search.prices import Prices
from spikec.compiler.simulation import Simulate, Totals
from spikec.compiler.tail import read_out_node


@dataclass(frozen=True, eq=False)
class Trial:
    """What a program did on the images of a bench.

    Attributes:
        losses: Divergence from the ANN per image, float64, (images,).
        agreements: Share of equal decisions per image, float64, (images,).
        energy: J per image.
    """

    losses: Float64
    agreements: Float64
    energy: float

    @property
    def loss(self) -> float:
        """Mean divergence per image."""
        return float(self.losses.mean())

    @property
    def agreement(self) -> float:
        """Share of decisions that equal the ANN's."""
        return float(self.agreements.mean())

    def excess(self, other: Trial) -> tuple[float, float]:
        """How much more is lost than by another program, and the standard error of that.

        Both ran on the same images, so the error is that of the differences image by image.
        """
        differences = self.losses - other.losses
        error = differences.std(ddof=1) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
        return float(differences.mean()), float(error)


class Bench:
    """Judges programs of one network on fixed images.

    Attributes:
        calibration: The images and the ANN.
        simulate: Runs programs.
        options: T and widths.
        divergence: How outputs are compared.
    """

    def __init__(
        self,
        reference: Graph,
        calibration: Calibration,
        simulate: Simulate,
        options: CompileOptions,
        prices: Prices,
    ) -> None:
        """A bench.

        Args:
            reference: The network before any pass changed what it computes.
            calibration: Images to judge on.
            simulate: Runs programs.
            options: T and widths.
            prices: Of operations.
        """
        self.calibration, self.simulate, self.options = calibration, simulate, options
        by_softmax = options.search.sensitivity == "divergence"
        self.divergence = Divergence.of(reference, probabilities=by_softmax)
        self._prices = prices
        self._expected = calibration.activation(reference, read_out_node(reference).name)

    def run(self, graph: Graph) -> tuple[Trial, Totals]:
        """A whole run of the program of a graph whose populations have their integers."""
        program = lower(graph, self.options)
        activation = self.calibration.activation(graph, program.input.name)
        payloads = encoded(program.input, activation)
        totals = self.simulate.totals(program, payloads)
        return self.judged(program, totals), totals

    def judged(self, program: Program, totals: Totals) -> Trial:
        """The losses and the energy of a run on all images of this bench.

        Mean errors per channel are taken back first, as the biases that are calibrated behind any
        search will do.
        """
        outputs = totals.outputs * program.readout.scale / program.timesteps
        errors = (outputs - self._expected).astype(np.float64)
        axes = tuple(axis for axis in range(errors.ndim) if axis != 1)
        outputs = outputs - errors.mean(axis=axes, keepdims=True)
        return Trial(
            self.divergence.losses(outputs, self._expected),
            self.divergence.agreement(outputs, self._expected),
            self._prices.energy(program, totals),
        )
