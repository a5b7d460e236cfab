"""Where Lava's own Dense, Sparse and Conv compute exactly what a connection means.

Lava's models say nothing when they overflow, so exactness is proved beforehand:

- Dense and Sparse get 2w and e − 1 (Lava clears the lowest bit of mixed weights), so Σ 2w·n must
  stay below 2^31.
- Conv has no exponent, pads both ends alike, wraps sums at 2^23, and keeps kernel sizes, strides,
  pads, dilations and groups in 8 bits.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from spikec.compiler.bounds import accumulations, payload_ranges
from spikec.compiler.connections import Connection, Conv, Dense
from spikec.compiler.program import Program

_DENSE_LIMIT = 2**30
_CONV_LIMIT = 2**23
_INT8_LIMIT = 127
_SPARSE_SHARE = 0.25
"""A matrix with a smaller share of weights other than 0 becomes a Sparse."""
_QUICK_CORRELATIONS = 256
"""Lava's Conv correlates every pair of channels by itself, which takes 20 to 100 µs."""


class Process(StrEnum):
    """The Lava process that a connection becomes."""

    LINK = "link"
    DENSE = "dense"
    SPARSE = "sparse"
    CONV = "conv"


def stock_process(program: Program, connection: Connection, *, quick: bool) -> Process:
    """A process of Lava's own if it is exact, else LINK.

    Args:
        program: Says which payloads can occur.
        connection: With a delay of one step.
        quick: Not a Conv that is slow.
    """
    source = program.population(connection.source)
    payload = payload_ranges(program)[connection.source]
    *_, sums = accumulations(connection, source.shape, payload)
    match connection.factors:
        case (Dense(weights=weights),) if sums.magnitude < _DENSE_LIMIT:
            share = np.count_nonzero(weights) / weights.size
            return Process.SPARSE if share < _SPARSE_SHARE else Process.DENSE
        case (Conv() as conv,) if sums.magnitude < _CONV_LIMIT and _conv_takes(conv, connection):
            pairs = len(conv.weights) * conv.weights.shape[1]
            return Process.LINK if quick and pairs > _QUICK_CORRELATIONS else Process.CONV
    return Process.LINK


def _conv_takes(conv: Conv, connection: Connection) -> bool:
    rank = len(conv.strides)
    numbers = (*conv.weights.shape[2:], *conv.strides, *conv.pads, *conv.dilations, conv.groups)
    return (
        rank == 2
        and connection.exponent == 0
        and conv.pads[:rank] == conv.pads[rank:]
        and max(numbers) <= _INT8_LIMIT
    )
