"""Calibration: the images that passes measure on, and the ANN that tells what they should give."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spikec.compiler.ann import Ann
from spikec.compiler.arrays import Array, Float32, Int64
from spikec.compiler.errors import CalibrationError
from spikec.compiler.ir import Graph, Node

_BATCH_BYTES = 256 * 2**20
"""Bound on the activations of one batch."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibration images and the ANN.

    Attributes:
        images: In the model's input layout, float32, (images, *input shape).
        ann: Runs the graph in float32.
    """

    images: Float32
    ann: Ann

    def activations(self, graph: Graph, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """Activations of the named nodes on all images, batch by batch in bounded memory."""
        floats = sum(int(np.prod(graph[name].known_shape())) for name in names)
        size = max(1, min(64, _BATCH_BYTES // (4 * floats)))
        batches = (self.images[at : at + size] for at in range(0, len(self.images), size))
        yield from self.ann.activations(graph, names, batches)

    def first(self, count: int) -> Calibration:
        """The same with no more than that many images."""
        return Calibration(self.images[:count], self.ann)

    @property
    def digest(self) -> str:
        """SHA-256 of the images, hexadecimal."""
        return hashlib.sha256(np.ascontiguousarray(self.images).tobytes()).hexdigest()


def drawn(images: int, count: int, seed: int) -> Int64:
    """Which of so many images are used, in which order: ``count`` of them at most."""
    return np.random.default_rng(seed).permutation(images)[:count]


def selected_images(
    calibration: Array | Iterable[Array], node: Node, count: int, seed: int
) -> Float32:
    """A random choice of calibration images, in random order.

    Args:
        calibration: (images, *input shape), or batches of it; of batches only the first ``count``
            images are read.
        node: The graph's input, with its shape.
        count: How many to choose at most.
        seed: Of the choice.

    Raises:
        CalibrationError: Wrong shape or type, not finite, or no image at all; names the input.
    """
    if isinstance(calibration, np.ndarray):
        _check(calibration, node)
        images = calibration[drawn(len(calibration), count, seed)]
    else:
        images = _first_of(calibration, node, count)
    if not np.isfinite(images).all():
        raise CalibrationError(
            "the calibration inputs hold NaN or infinite values", node.where, "remove them"
        )
    return images.astype(np.float32, copy=False)


def _first_of(batches: Iterable[Array], node: Node, count: int) -> Array:
    parts: list[Array] = []
    missing = count
    for batch in batches:
        part = np.asarray(batch)
        _check(part, node)
        parts.append(part[:missing])
        missing -= len(parts[-1])
        if missing <= 0:
            break
    if not parts:
        raise CalibrationError("there are no calibration inputs", node.where, "give at least one")
    return np.concatenate(parts)


def _check(images: Array, node: Node) -> None:
    shape = node.known_shape()
    expected = f"(images, {', '.join(str(length) for length in shape)})"
    if images.dtype.kind not in "fiub":
        raise CalibrationError(
            f"calibration inputs are of type {images.dtype}, not numbers",
            node.where,
            f"give float32 values of shape {expected}",
        )
    if images.ndim != len(shape) + 1 or images.shape[1:] != shape:
        raise CalibrationError(
            f"calibration inputs have shape {images.shape}, the model reads {expected}",
            node.where,
            "give them in the model's layout, or state how with preprocessing",
        )
    if not len(images):
        raise CalibrationError("there are no calibration inputs", node.where, "give at least one")
