"""The logarithm of a softmax, for outputs that are scores of classes."""

from __future__ import annotations

import numpy as np

from spikec.compiler.arrays import Array


def log_softmax(scores: Array, axis: int) -> Array:
    """Scores less their maximum m and ln Σ exp(score − m), along an axis; finite if they are.

    Args:
        scores: float32 or float64; the result is of the same type and shape.
        axis: Of the classes.
    """
    shifted = scores - scores.max(axis=axis, keepdims=True)
    logarithm: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return logarithm
