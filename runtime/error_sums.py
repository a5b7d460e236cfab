"""Errors of a population summed over images, and what they do to the network's output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.error_terms import PARTS, Terms
from spikec.compiler.softmax import log_softmax
from spikec.runtime.report import Json


@dataclass(frozen=True)
class Effect:
    """How far outputs are from the ANN's.

    Attributes:
        output_error: Mean square of the difference relative to that of the ANN's outputs.
        divergence: KL(ANN ‖ other) of the softmax, mean per image, in nats; None where the
            program does not classify.
        changed: Share of images with another class; None likewise.
    """

    output_error: float
    divergence: float | None
    changed: float | None

    @property
    def size(self) -> float:
        """What effects are compared by."""
        return self.output_error if self.divergence is None else self.divergence


@dataclass(frozen=True)
class LayerError:
    """The error of one population.

    Mean squares are relative to the mean square of the ANN's activation; signed means relative to
    its root. The signed parts add up to the error of every single neuron and so do their means;
    their squares do not: ``cross`` is what is left.

    Attributes:
        name: Of the population.
        kind: "input", "adafire", "max_pool" or "readout".
        neurons: Number of neurons.
        mean_square: Of the ANN's activation, per neuron.
        total: Mean square of s̄ − a.
        own: The same without the propagated part.
        parts: Mean square by part.
        cross: ``total`` less the sum of ``parts``: twice the mean products of different parts;
            negative where parts make up for each other.
        bias: Signed mean of s̄ − a.
        part_bias: Signed mean by part.
        residual: Largest difference between the error of a neuron and the sum of its signed
            parts, relative to the root mean square of the activation: rounding of floats.
        offset: Share of the squared error that is a constant offset of each channel.
        over: Share of neurons that emitted more than their charge.
        under: Share of neurons that emitted less.
        over_share: Share of the squares of unevenness that over-firing makes.
        saturations: Saturating updates of the membrane per image.
        own_effect: On the output, if this population alone errs, by its own error.
        effect: On the output, if all others are exact and this one is as in the program.
    """

    name: str
    kind: str
    neurons: int
    mean_square: float
    total: float
    own: float
    parts: Mapping[str, float]
    cross: float
    bias: float
    part_bias: Mapping[str, float]
    residual: float
    offset: float
    over: float
    under: float
    over_share: float
    saturations: float
    own_effect: Effect
    effect: Effect

    @property
    def own_parts(self) -> dict[str, float]:
        """Mean squares of the parts that arise in this population, largest first."""
        own = {name: value for name, value in self.parts.items() if name != "propagated"}
        return dict(sorted(own.items(), key=lambda item: -item[1]))

    @property
    def root_parts(self) -> dict[str, float]:
        """The own parts without the correction, which answers to others, if there are others."""
        roots = {name: value for name, value in self.own_parts.items() if name != "correction"}
        return roots if any(roots.values()) else self.own_parts

    def to_dict(self) -> dict[str, Json]:
        """Everything as plain values that JSON can hold."""
        return {
            "name": self.name,
            "kind": self.kind,
            "neurons": self.neurons,
            "mean_square": self.mean_square,
            "total": self.total,
            "own": self.own,
            "cross": self.cross,
            "bias": self.bias,
            "residual": self.residual,
            "offset": self.offset,
            "parts": dict(self.parts),
            "part_bias": dict(self.part_bias),
            "over_firing": self.over,
            "under_firing": self.under,
            "over_firing_share": self.over_share,
            "saturations": self.saturations,
            "own_effect": effect_dict(self.own_effect),
            "effect": effect_dict(self.effect),
        }


def effect_dict(effect: Effect) -> dict[str, Json]:
    """An effect as plain values."""
    return {
        "output_error": effect.output_error,
        "divergence": effect.divergence,
        "changed_decisions": effect.changed,
    }


@dataclass
class EffectSums:
    """Differences of outputs, summed over images."""

    images: int = 0
    squares: float = 0.0
    difference: float = 0.0
    divergence: float = 0.0
    changed: int = 0
    classifies: bool = True

    def take(self, exact: Array, other: Array, scores: tuple[Array, Array] | None) -> None:
        """Add outputs of a batch, (images, …), and their scores per class, if there are."""
        self.images += len(exact)
        self.squares += _squares(exact)
        self.difference += _squares(other.astype(np.float64) - exact)
        self.classifies = scores is not None
        if scores is not None:
            logs = [log_softmax(each.astype(np.float64), 1) for each in scores]
            self.divergence += float((np.exp(logs[0]) * (logs[0] - logs[1])).sum())
            classes = [np.argmax(each, axis=1) for each in scores]
            self.changed += int((classes[0] != classes[1]).sum())

    def result(self) -> Effect:
        """Means over the images."""
        error = _ratio(self.difference, self.squares)
        if not self.classifies or not self.images:
            return Effect(error, None, None)
        return Effect(error, self.divergence / self.images, self.changed / self.images)


@dataclass
class LayerSums:
    """The error of one population, summed over images and neurons."""

    name: str
    kind: str
    neurons: int
    count: int = 0
    squares: float = 0.0
    total: float = 0.0
    own: float = 0.0
    over: int = 0
    under: int = 0
    over_squares: float = 0.0
    saturations: int = 0
    residual: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    channels: Float64 | float = 0.0
    own_effect: EffectSums = field(default_factory=EffectSums)
    effect: EffectSums = field(default_factory=EffectSums)

    def take(self, terms: Terms) -> None:
        """Add a batch."""
        error = terms.mean - terms.activation
        self.count += error.size
        self.squares += _squares(terms.activation)
        self.total += _squares(error)
        self.own += _squares(terms.own)
        self.over += terms.over
        self.under += terms.under
        if "unevenness" in terms.parts:
            self.over_squares += _squares(np.maximum(terms.parts["unevenness"], 0))
        self.saturations += terms.saturations
        self.residual = max(self.residual, terms.residual)
        self.channels = self.channels + error.reshape(*error.shape[:2], -1).sum(axis=(0, 2))
        for name in PARTS:
            if name in terms.parts:
                part = terms.parts[name]
                self.parts[name] = self.parts.get(name, 0.0) + _squares(part)
                self.means[name] = self.means.get(name, 0.0) + float(part.sum())

    def result(self) -> LayerError:
        """Means over images and neurons."""
        root = math.sqrt(self.squares * self.count)
        offset = np.asarray(self.channels)
        constant = float((offset**2).sum()) * offset.size / self.count
        return LayerError(
            name=self.name,
            kind=self.kind,
            neurons=self.neurons,
            mean_square=self.squares / self.count,
            total=_ratio(self.total, self.squares),
            own=_ratio(self.own, self.squares),
            parts={name: _ratio(value, self.squares) for name, value in self.parts.items()},
            cross=_ratio(self.total - sum(self.parts.values()), self.squares),
            bias=_ratio(float(offset.sum()), root),
            part_bias={name: _ratio(value, root) for name, value in self.means.items()},
            residual=_ratio(self.residual * self.count, root),
            offset=_ratio(constant, self.total),
            over=self.over / self.count,
            under=self.under / self.count,
            over_share=_ratio(self.over_squares, self.parts.get("unevenness", 0.0)),
            saturations=self.saturations / (self.count / self.neurons),
            own_effect=self.own_effect.result(),
            effect=self.effect.result(),
        )


def _squares(values: Array) -> float:
    # Not a product of matrices: for one number, threads cost more than they save.
    flat = np.asarray(values, np.float64).ravel()
    return float(np.einsum("i,i->", flat, flat))


def _ratio(part: float, whole: float) -> float:
    """0 where there is nothing to be compared with: a layer that is silent in the ANN."""
    return part / whole if whole > 0 else 0.0
