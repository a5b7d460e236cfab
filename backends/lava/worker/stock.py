"""Lava's own Dense, Sparse and Conv, set up so that they compute exactly what a connection means.

They are exact only within the bounds that the host has proved before it names them in a job.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from kernels.windows import Array, Shape
from lava.magma.core.process.ports.ports import AbstractPort
from lava.magma.core.process.process import AbstractProcess
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.sparse.process import Sparse

_MESSAGE_BITS = 16
"""Any number above 0 makes spikes graded; Lava checks no width."""


@dataclass(frozen=True)
class StockMatrix:
    """A matrix for Dense or Sparse.

    Lava clears the last bit of a matrix with weights of both signs. So it is given twice the
    weights, and an exponent that is smaller by 1.

    Attributes:
        weights: int8, (out, in).
        exponent: e ≥ 0.
        sink: Shape of the currents.
        sparse: Sparse instead of Dense.
    """

    weights: Array
    exponent: int
    sink: Shape
    sparse: bool

    def process(self, name: str) -> AbstractProcess:
        """The Lava process."""
        kind = Sparse if self.sparse else Dense
        return kind(
            weights=2 * self.weights.astype(np.int32),
            weight_exp=self.exponent - 1,
            num_message_bits=_MESSAGE_BITS,
            name=name,
        )

    def join(self, source: AbstractPort, process: AbstractProcess, sink: AbstractPort) -> None:
        """Connect, through a flattened source."""
        (source.flatten() if len(source.shape) > 1 else source).connect(process.s_in)
        sums = process.a_out
        (sums.reshape(self.sink) if len(self.sink) > 1 else sums).connect(sink)


@dataclass(frozen=True)
class StockConv:
    """A two-dimensional convolution for Conv.

    Lava turns the kernel, keeps the channels in the last axis, and pads both ends alike.

    Attributes:
        weights: int8, (out, C/groups, H, W), as in ONNX.
        source: (C, H, W).
        strides: Per spatial axis.
        pads: Zeros on both ends of each spatial axis.
        dilations: Per spatial axis.
        groups: Below 128.
    """

    weights: Array
    source: Shape
    strides: Shape
    pads: Shape
    dilations: Shape
    groups: int

    def process(self, name: str) -> AbstractProcess:
        """The Lava process."""
        channels, height, width = self.source
        return Conv(
            weight=np.flip(self.weights.transpose(0, 2, 3, 1), axis=(1, 2)).astype(np.int32),
            input_shape=(height, width, channels),
            padding=self.pads,
            stride=self.strides,
            dilation=self.dilations,
            groups=self.groups,
            num_message_bits=_MESSAGE_BITS,
            name=name,
        )

    def join(self, source: AbstractPort, process: AbstractProcess, sink: AbstractPort) -> None:
        """Connect, with the channels moved to the last axis and back."""
        source.transpose((1, 2, 0)).connect(process.s_in)
        process.a_out.transpose((2, 0, 1)).connect(sink)
