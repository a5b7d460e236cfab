"""How far a program's outputs are from the ANN's, per image and without labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.ir import Graph
from spikec.compiler.softmax import log_softmax
from spikec.compiler.tail import read_out_node, tail_ops

_LARGEST_LOG_RATIO = float(np.log(1e6))
"""Bound on |ln p − ln q|: a class that one of the two all but excludes is not worth more."""


@dataclass(frozen=True)
class Divergence:
    """The measure that suits a network.

    Attributes:
        axis: Axis of the classes, without batch axis; None where outputs are not scores.
        probabilities: Whether scores are compared behind their softmax, by symmetric divergence;
            else by their distance.
    """

    axis: int | None
    probabilities: bool = False

    @classmethod
    def of(cls, graph: Graph, *, probabilities: bool = False) -> Divergence:
        """Between classes where the network ends with a choice or in one row of scores."""
        return cls(_class_axis(graph), probabilities)

    def losses(self, outputs: Array, expected: Array) -> Float64:
        """Per image, float64, (images,).

        Args:
            outputs: Of the program's read-out, (images, *shape).
            expected: The ANN's, (images, *shape).
        """
        if self.axis is not None and self.probabilities:
            return symmetric_divergence(outputs, expected, self.axis + 1)
        if self.axis is not None:  # what all classes share decides nothing
            outputs = outputs - outputs.mean(self.axis + 1, keepdims=True)
            expected = expected - expected.mean(self.axis + 1, keepdims=True)
        return relative_distance(outputs, expected)

    def agreement(self, outputs: Array, expected: Array) -> Float64:
        """Share of each image's decisions that are equal, (images,); 1 without classes."""
        if self.axis is None:
            return np.ones(len(outputs))
        same = outputs.argmax(self.axis + 1) == expected.argmax(self.axis + 1)
        share: Float64 = same.reshape(len(same), -1).mean(axis=1)
        return share


def _class_axis(graph: Graph) -> int | None:
    for op in tail_ops(graph)[:1]:
        return op.axis if op.op in ("Softmax", "LogSoftmax", "ArgMax") else None
    shape = read_out_node(graph).known_shape()
    return 0 if len(shape) == 1 and shape[0] > 1 else None


def symmetric_divergence(left: Array, right: Array, axis: int) -> Float64:
    """½·[KL(p‖q) + KL(q‖p)] = ½·Σ (p − q)(ln p − ln q) of two sets of scores, per image.

    In float64 from log-softmax, |ln p − ln q| bounded by ln 10^6, so that it is always finite.
    Source: paper 2 (AAAI 2025), sensitivity.

    Args:
        left: Scores before the softmax, (images, …).
        right: The same of the other network.
        axis: Of the classes; other axes are averaged.
    """
    p, q = (log_softmax(scores.astype(np.float64), axis) for scores in (left, right))
    ratio = np.clip(p - q, -_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)
    divergence = 0.5 * ((np.exp(p) - np.exp(q)) * ratio).sum(axis=axis)
    mean: Float64 = divergence.reshape(len(divergence), -1).mean(axis=1)
    return mean


def relative_distance(outputs: Array, expected: Array) -> Float64:
    """‖outputs − expected‖² of each image in units of the mean ‖expected‖², (images,).

    Of any outputs. For scores too it is the better sensitivity: confident scores leave the
    divergence of their softmax to a few images, so that its error hides the differences between
    layers (measured on ResNet-20). Source: ours.
    """
    difference = outputs.astype(np.float64) - expected
    size = max(float(np.square(expected, dtype=np.float64).mean()), 1e-30)
    distance: Float64 = np.square(difference).reshape(len(difference), -1).mean(axis=1) / size
    return distance
