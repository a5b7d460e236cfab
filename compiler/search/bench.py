"""Bench: images, the ANN's answers on them, a simulator and prices; they judge programs."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.calibration import Calibration, regrouped
from spikec.compiler.encoding import encoded
from spikec.compiler.ir import Graph
from spikec.compiler.lower import lower
from spikec.compiler.options import CompileOptions
from spikec.compiler.program import Program
from spikec.compiler.search.divergence import Divergence
from spikec.compiler.search.prices import Prices
from spikec.compiler.simulation import Simulate, Totals, potentials
from spikec.compiler.tail import read_out_node

_BATCH = 64
"""Images whose potentials are told at a time."""


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
        options: All choices.
        timesteps: For how many of the first steps programs run.
        divergence: How outputs are compared.
        expected: The ANN's outputs, (images, *shape).
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
            options: All choices.
            prices: Of operations.
        """
        self.calibration, self.simulate, self.options = calibration, simulate, options
        self.timesteps = options.timesteps
        by_softmax = options.search.sensitivity == "divergence"
        self.divergence = Divergence.of(reference, probabilities=by_softmax)
        self._prices = prices
        self.expected = calibration.activation(reference, read_out_node(reference).name)

    def run(self, graph: Graph) -> tuple[Trial, Totals]:
        """A whole run of the program of a graph whose populations have their integers."""
        program, payloads = self._program(graph)
        totals = self.simulate.totals(program, payloads)
        return self.judged(program, totals), totals

    def readouts(self, graph: Graph) -> tuple[Int64, float]:
        """Potentials of the read-out after every step, (T, images, classes), and their scale."""
        program, payloads = self._program(graph)
        told = potentials(self.simulate, program, regrouped([payloads], _BATCH))
        return told, float(program.readout.scale.item())

    def lasting(self, timesteps: int) -> Bench:
        """The same, for so many of the first steps."""
        other = copy(self)
        other.timesteps = timesteps
        return other

    def lowered(self, graph: Graph) -> Program:
        """The program of a graph whose populations have their integers, for the first steps."""
        return lower(graph, replace(self.options, timesteps=self.timesteps, exit_loss=None))

    def _program(self, graph: Graph) -> tuple[Program, Array]:
        program = self.lowered(graph)
        activation = self.calibration.activation(graph, program.input.name)
        return program, encoded(program.input, activation)

    def judged(
        self,
        program: Program,
        totals: Totals,
        *,
        images: Int64 | None = None,
        scale: Float64 | None = None,
    ) -> Trial:
        """The losses and the energy of a run.

        Mean errors per channel are taken back first, as the biases that are calibrated behind any
        search will do.

        Args:
            program: That was run.
            totals: What it gave and counted.
            images: Indices of those that it ran on; None: all of this bench.
            scale: Of its outputs; None: that of the program's read-out.
        """
        expected = self.expected if images is None else self.expected[images]
        scale = program.readout.scale if scale is None else scale
        outputs = totals.outputs * scale / program.timesteps
        errors = (outputs - expected).astype(np.float64)
        axes = tuple(axis for axis in range(errors.ndim) if axis != 1)
        outputs = outputs - errors.mean(axis=axes, keepdims=True)
        return Trial(
            self.divergence.losses(outputs, expected),
            self.divergence.agreement(outputs, expected),
            self._prices.energy(program, totals),
        )
