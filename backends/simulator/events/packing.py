"""Packed parameters: weights, masks and neuron parameters in blocks of a sink's channels."""

from __future__ import annotations

import numpy as np

from spikec.backends.simulator.events.arena import line_aligned
from spikec.backends.simulator.events.fields import WORD, Field, padded
from spikec.backends.simulator.events.links import Link
from spikec.backends.simulator.events.reach import Line
from spikec.compiler.arrays import Array, Int8, Int32
from spikec.compiler.populations import Shape

SILENT = 2**30 - 1
"""Threshold of channels that are only padding: they never reach it."""


def packed_weights(link: Link, block: int) -> Int8:
    """Weights of a link that mixes channels, int8, (blocks, pixels or 1, in, taps, block).

    Args:
        link: Not channelwise.
        block: Channels per block of the sink.
    """
    assert link.weights is not None
    weights = link.weights
    pixels, out, per_group, taps = weights.shape
    spread = np.zeros((pixels, link.field.padded, taps, padded(out)), np.int8)
    width = out // link.groups
    for group in range(link.groups):
        inputs = slice(group * per_group, (group + 1) * per_group)
        outputs = slice(group * width, (group + 1) * width)
        spread[:, inputs, :, outputs] = weights[:, outputs].transpose(0, 2, 3, 1)
    blocks = spread.reshape(*spread.shape[:3], -1, block).transpose(3, 0, 1, 2, 4)
    packed = line_aligned(blocks.size).view(np.int8).reshape(blocks.shape)
    packed[...] = blocks
    return packed


def paired_words(weights: Int8, lanes: int) -> Int8:
    """Packed weights as words of two for pairs of vectors; see ``pairs``.

    Args:
        weights: (…, block), as ``packed_weights`` gives them.
        lanes: Channels per vector; a block has an even number of vectors.
    """
    pairs = weights.reshape(*weights.shape[:-1], -1, 2, lanes).astype(np.int16)
    words = line_aligned(weights.size).view("<i2").reshape(*pairs.shape[:-2], lanes)
    np.multiply(pairs[..., 1, :], np.int16(256), out=words)
    words += pairs[..., 0, :]
    return words.view(np.int8).reshape(weights.shape)


def widened_weights(weights: Int8) -> Array:
    """Packed weights in int16."""
    wide = line_aligned(2 * weights.size).view("<i2").reshape(weights.shape)
    wide[...] = weights
    return wide


def channel_weights(link: Link) -> Int8:
    """Weights of a channelwise link, int8, (taps, padded channels)."""
    assert link.weights is not None
    channels, taps = link.weights.shape
    spread = np.zeros((taps, padded(channels)), np.int8)
    spread[:, :channels] = link.weights.T
    return spread


def channel_masks(link: Link, channels: tuple[int, int], block: int) -> tuple[Array, bool]:
    """Which source channels a block of the sink listens to, as bits of words.

    Args:
        link: Not channelwise.
        channels: Range of source channels that count.
        block: Channels per block of the sink.

    Returns:
        uint64, (blocks or 1, words), and whether every channel counts.
    """
    assert link.weights is not None
    out, per_group = link.weights.shape[1:3]
    width = out // link.groups
    blocks = padded(out) // block if link.groups > 1 else 1
    words = -(-link.field.padded // WORD)
    heard = np.zeros((blocks, words * WORD), bool)
    for index in range(blocks):
        first = index * block // width
        last = min((index * block + block - 1) // width, link.groups - 1)
        if first < link.groups:
            heard[index, first * per_group : (last + 1) * per_group] = True
    heard[:, : channels[0]] = False
    heard[:, channels[1] :] = False
    masks = np.packbits(heard, axis=1, bitorder="little").view(np.uint64)
    return masks, bool(heard[:, : link.field.channels].all())


def shown_pixels(masks: Array, padded: int, columns: Line) -> Array:
    """Masks for words of several pixels, uint64, (blocks or 1, 1).

    Args:
        masks: Which channels of a pixel count, uint64, (blocks or 1, 1).
        padded: Channels of a pixel, padded.
        columns: Which pixels count; the first of them is in the first word.
    """
    shown = np.zeros_like(masks)
    for pixel in range(columns.first, WORD // padded, columns.step):
        shown |= masks << np.uint64(pixel * padded)
    return shown


def word_count(pixels: int, padded: int) -> tuple[int, int]:
    """Words of so many pixels, and the bits of the last one that belong to them, as int64."""
    together = WORD // padded
    words = -(-pixels // together)
    bits = (pixels - (words - 1) * together) * padded
    return words, -1 if bits == WORD else (1 << bits) - 1


def packed_parameter(parameter: Int32, shape: Shape, block: int, padding: int) -> Int32:
    """A parameter of neurons, int32, (blocks, pixels or 1, block).

    Args:
        parameter: Broadcastable against the shape.
        shape: (C, *spatial).
        block: Channels per block.
        padding: Value of the channels that are only padding.
    """
    field = Field(shape, 0, 1, 1)
    per_neuron = any(length > 1 for length in parameter.shape[1:])
    goal = shape if per_neuron else (*shape[:1], *(1 for _ in shape[1:]))
    flat = np.broadcast_to(parameter, goal).reshape(field.channels, -1).T
    spread = np.full((len(flat), field.padded), padding, np.int32)
    spread[:, : field.channels] = flat
    blocks = spread.reshape(len(flat), -1, block).swapaxes(0, 1)
    return np.ascontiguousarray(blocks)
