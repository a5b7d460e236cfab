"""What one population's error consists of: signed parts that add up neuron by neuron.

Let a be the ANN's activation, s̄ = scale·C/T the program's, with C the total emitted, f the layer's
activation function, and z mean drives per step in units of the activation:

    z₁ the float layer on s̄ of its sources       z₂ the integer weights on them, the ANN's bias
    z₃ with the program's bias and start, less the half shift: (ΣI + T·b + v0 − ⌊θ/2⌋)·s/T

With N = clip(⌊(ΣI + T·b + v0)/θ⌋, n_min·T, φT), and N' = clip(C + ⌊v/θ⌋, n_min·T, φT) of the last
membrane v, which equals N unless v saturated on the way:

    s̄ − a =  f(z₁) − a            propagated: the layers before it sent something else
           + f(z₂) − f(z₁)         weights: rounding, fitting and learning of the weights
           + f(z₃) − f(z₂)         correction: what calibration added to bias and start
           + clip(z₃) − f(z₃)      clipping, at φθ, and at −φθ where the population is signed
           + N·q − clip(z₃)        rounding to whole spikes, q = scale/T
           + (N' − N)·q            saturation of the membrane
           + (C − N')·q            unevenness: too many spikes, or too few, for the charge

A start that waits lowers v0 by what T·b returns: z₃ does not see it, C − N' does. Source: clipping
and flooring paper 1 (ICML 2021), unevenness paper 2 (AAAI 2025); the exact identities are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.copies import together
from spikec.compiler.populations import AdaFire, Fire, Input, Readout
from spikec.compiler.simulation import Fired

PARTS = (
    "propagated",
    "weights",
    "correction",
    "clipping",
    "rounding",
    "saturation",
    "unevenness",
)


@dataclass(frozen=True, eq=False)
class Terms:
    """The error of one population on some images.

    Attributes:
        activation: a, the ANN's, float64, (images, *shape).
        mean: s̄, the program's, float64, (images, *shape).
        parts: By name from PARTS, float64, (images, *shape); one that cannot occur is missing.
            Their sum is ``mean − activation``.
        over: Neurons that emitted more than their charge, over all images.
        under: Neurons that emitted less.
        saturations: Saturating updates.
    """

    activation: Float64
    mean: Float64
    parts: dict[str, Float64]
    over: int = 0
    under: int = 0
    saturations: int = 0

    def read(self, copy_of: Int64 | None) -> Terms:
        """The same as readers see it, who take the mean of all copies of a value."""
        if copy_of is None:
            return self
        parts = {name: together(part, copy_of) for name, part in self.parts.items()}
        return replace(self, mean=together(self.mean, copy_of), parts=parts)

    @property
    def own(self) -> Float64:
        """The error that the population adds to what its sources bring."""
        error: Float64 = self.mean - self.activation - self.parts.get("propagated", 0.0)
        return error

    @property
    def residual(self) -> float:
        """Largest difference between a neuron's error and the sum of its parts: float rounding."""
        left = self.mean - self.activation
        for part in self.parts.values():
            left = left - part
        return float(np.abs(left).max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Drive:
    """What arrives at a population, (images, *shape).

    Attributes:
        activation: a, the ANN's activation.
        float_drive: z₁, in units of the activation.
        charge: ΣI over the T steps, in the program's units of current.
        float_bias: Drive of the float layer while its sources are silent, broadcastable.
    """

    activation: Array
    float_drive: Array
    charge: Int64
    float_bias: Float64


def activated(drive: Array, rule: Fire, ceiling: float | None) -> Array:
    """f: the activation function that a population of this rule stands for."""
    return drive if rule is Fire.SIGNED else np.clip(drive, 0, ceiling)


def firing_terms(
    population: AdaFire, drive: Drive, fired: Fired, timesteps: int, ceiling: float | None
) -> Terms:
    """The parts of an adafire population's error.

    Args:
        population: In the program.
        drive: What arrived.
        fired: What it emitted.
        timesteps: T.
        ceiling: Of the ANN's Clip(0, c); None without one.
    """
    theta = population.threshold.astype(np.int64)
    assert fired.membrane is not None
    top = population.phi * timesteps
    low = -top if population.fire is Fire.SIGNED else 0
    charge = drive.charge + timesteps * population.bias.astype(np.int64) + population.initial
    count = fired.spikes.sum(axis=0, dtype=np.int64)
    settled = np.clip(count + fired.membrane // theta, low, top)
    whole = np.clip(charge // theta, low, top)
    unit, grain = population.scale / theta / timesteps, population.scale / timesteps

    def f(z: Array) -> Float64:
        return activated(z.astype(np.float64), population.fire, ceiling)

    activation, ideal = drive.activation.astype(np.float64), f(drive.float_drive)
    weighted = f(drive.charge * unit + drive.float_bias)
    effective = (charge - theta // 2) * unit
    corrected = f(effective)
    limited = np.clip(effective, low * grain, top * grain)
    parts = {
        "propagated": ideal - activation,
        "weights": weighted - ideal,
        "correction": corrected - weighted,
        "clipping": limited - corrected,
        "rounding": whole * grain - limited,
        "saturation": (settled - whole) * grain,
        "unevenness": (count - settled) * grain,
    }
    return Terms(
        activation,
        count * grain,
        parts,
        int((count > settled).sum()),
        int((count < settled).sum()),
        int(fired.saturations.sum()),
    )


def input_terms(population: Input, activation: Array, payloads: Array) -> Terms:
    """The parts of the input's error: clipping at the largest payload, and rounding.

    Args:
        population: In the program.
        activation: What it encodes, (images, *shape).
        payloads: q, (images, *shape).
    """
    exact = activation.astype(np.float64)
    top = (2 ** (population.bits - 1) - 1) * population.scale
    limited, mean = np.clip(exact, -top, top), payloads * population.scale
    return Terms(exact, mean, {"clipping": limited - exact, "rounding": mean - limited})


def pool_terms(activation: Array, float_result: Array, mean: Float64) -> Terms:
    """The parts of a max_pool's error; it adds none of its own but the rounding of floats.

    Args:
        activation: a, (images, *shape).
        float_result: The float pool of s̄ of its sources.
        mean: s̄.
    """
    exact, ideal = activation.astype(np.float64), float_result.astype(np.float64)
    return Terms(exact, mean, {"propagated": ideal - exact, "rounding": mean - ideal})


def readout_terms(population: Readout, drive: Drive, timesteps: int) -> Terms:
    """The parts of the read-out's error; it neither fires nor clips."""
    unit = population.scale / timesteps
    exact, ideal = drive.activation.astype(np.float64), drive.float_drive.astype(np.float64)
    weighted = drive.charge * unit + drive.float_bias
    mean = (drive.charge + timesteps * population.bias.astype(np.int64)) * unit
    parts = {
        "propagated": ideal - exact,
        "weights": weighted - ideal,
        "correction": mean - weighted,
    }
    return Terms(exact, mean, parts)
