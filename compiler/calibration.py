"""Calibration: the images that passes measure on, and the ANN that tells what they should give."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.ann import Ann
from spikec.compiler.arrays import Array, Float32, Int64
from spikec.compiler.errors import CalibrationError
from spikec.compiler.ir import Graph, Node
from spikec.compiler.options import CompileOptions

_BATCH_BYTES = 256 * 2**20
"""Bound on the activations of one batch."""
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibration images and the ANN.

    Attributes:
        images: In the model's input layout, float32, (images, *input shape): as many as a walk
            carries at once.
        ann: Runs the graph in float32.
        drawn: Those and the others that were drawn, for whoever reads them in parts; None: those
            alone.
        stream: Batches of images for statistics, all drawn ones among them; None: these.
        teacher: The network whose activations the program is to give, with the nodes of the graph
            that is calibrated; None: that graph. It differs where weights have learnt to make up
            for their neurons.
    """

    images: Float32
    ann: Ann
    stream: Iterable[Float32] | None = None
    teacher: Graph | None = None
    drawn: Float32 | None = None

    @property
    def every(self) -> Float32:
        """All images that were drawn, (images, *input shape)."""
        return self.images if self.drawn is None else self.drawn

    def activations(self, graph: Graph, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """Activations of the named nodes on all images, batch by batch in bounded memory."""
        yield from self._activations(graph, names, [self.images])

    def activation(self, graph: Graph, name: str) -> Array:
        """The activation of one node on all images, (images, *shape)."""
        return np.concatenate([batch[name] for batch in self.activations(graph, [name])])

    def statistics(self, graph: Graph, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """The same on all images of the stream; its own batches make no difference."""
        stream = [self.every] if self.stream is None else self.stream
        yield from self._activations(graph, names, stream)

    def _activations(
        self, graph: Graph, names: Sequence[str], images: Iterable[Float32]
    ) -> Iterator[dict[str, Array]]:
        floats = sum(int(np.prod(graph[name].known_shape())) for name in names)
        size = max(1, min(_BATCH, _BATCH_BYTES // (4 * floats)))
        yield from self.ann.activations(graph, names, regrouped(images, size))

    def first(self, count: int) -> Calibration:
        """The same with no more than that many images; the stream is as long as before."""
        return replace(self, images=self.images[:count], drawn=None)

    def carried(self, count: int) -> Calibration:
        """The same with no more than that many images in a walk."""
        return replace(self, images=self.images[:count], drawn=self.every)

    def taught_by(self, teacher: Graph) -> Calibration:
        """The same with a teacher."""
        return replace(self, teacher=teacher)

    @property
    def digest(self) -> str:
        """SHA-256 of all images, hexadecimal."""
        return hashlib.sha256(np.ascontiguousarray(self.every).tobytes()).hexdigest()


def drawn(images: int, count: int, seed: int) -> Int64:
    """Which of so many images are used, in which order: ``count`` of them at most."""
    return np.random.default_rng(seed).permutation(images)[:count]


def regrouped(batches: Iterable[Array], size: int) -> Iterator[Array]:
    """The same images in batches of ``size``; the last one may be smaller."""
    held: list[Array] = []
    count = 0
    for batch in batches:
        at = 0
        while at < len(batch):
            part = batch[at : at + size - count]
            held.append(part)
            at, count = at + len(part), count + len(part)
            if count == size:
                yield held[0] if len(held) == 1 else np.concatenate(held)
                held, count = [], 0
    if held:
        yield held[0] if len(held) == 1 else np.concatenate(held)


def selected_images(
    calibration: Array | Iterable[Array], node: Node, options: CompileOptions
) -> tuple[Float32, Iterable[Float32] | None]:
    """The images that calibration holds, and the stream of those that thresholds are measured on.

    Args:
        calibration: (images, *input shape), of which some are drawn at random; or batches of
            them, of which only the first are read, each batch once.
        node: The graph's input, with its shape.
        options: Numbers of images, seed, and memory.

    Returns:
        Images in random order, (images, *input shape), no more than memory holds; and a stream
        that begins with them, or None if it has no others.

    Raises:
        CalibrationError: Wrong shape or type, not finite, or no image at all; names the input.
    """
    size = 4 * int(np.prod(node.known_shape()))
    count = max(1, min(options.drawn_images, options.memory_bytes // size))
    wanted = options.threshold_images
    source: Iterable[Array] = calibration
    if isinstance(calibration, np.ndarray):
        _check(calibration, node)
        order = drawn(len(calibration), max(count, wanted), options.seed)
        source = _Drawn(calibration, order)
    batches = _checked(source, node)
    images, rest = _first(batches, node, count)
    if not wanted:
        return images, None
    if iter(source) is source:
        return images, _Once(_limited(itertools.chain([images, rest], batches), wanted), node)
    return images, _Again(source, node, wanted)


def _first(batches: Iterator[Float32], node: Node, count: int) -> tuple[Float32, Float32]:
    """The first images, and what is left of the batch that the last of them was in."""
    parts: list[Float32] = []
    rest: Float32 | None = None
    missing = count
    for batch in batches:
        parts.append(batch[:missing])
        rest = batch[missing:]
        missing -= len(parts[-1])
        if missing <= 0:
            break
    if rest is None:
        raise CalibrationError("there are no calibration inputs", node.where, "give at least one")
    return np.concatenate(parts), rest


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Chosen images of an array, batch by batch."""

    images: Array
    order: Int64

    def __iter__(self) -> Iterator[Array]:
        for at in range(0, len(self.order), _BATCH):
            yield self.images[self.order[at : at + _BATCH]]


@dataclass(frozen=True, eq=False)
class _Again:
    """The first images of batches that can be read as often as one likes."""

    batches: Iterable[Array]
    node: Node
    count: int

    def __iter__(self) -> Iterator[Float32]:
        return _limited(_checked(self.batches, self.node), self.count)


@dataclass(eq=False)
class _Once:
    """Batches that are gone when they have been read."""

    batches: Iterator[Float32]
    node: Node
    read: bool = False

    def __iter__(self) -> Iterator[Float32]:
        if self.read:
            raise CalibrationError(
                "the stream of calibration inputs is needed twice and can be read once",
                self.node.where,
                "give an array, or a list of batches",
            )
        self.read = True
        return self.batches


def _limited(batches: Iterable[Float32], count: int) -> Iterator[Float32]:
    for batch in batches:
        if len(batch):
            yield batch[:count]
        count -= len(batch)
        if count <= 0:
            break


def _checked(batches: Iterable[Array], node: Node) -> Iterator[Float32]:
    for batch in batches:
        images = np.asarray(batch)
        _check(images, node)
        if not np.isfinite(images).all():
            raise CalibrationError(
                "the calibration inputs hold NaN or infinite values", node.where, "remove them"
            )
        yield images.astype(np.float32, copy=False)


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
