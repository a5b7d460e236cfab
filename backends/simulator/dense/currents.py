"""The current of one population: the sum of its connections, block of steps by block of steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikec.backends.simulator.dense.linear import PreparedConnection
from spikec.backends.simulator.dense.scratch import Scratch
from spikec.compiler.arrays import Array, Int32
from spikec.compiler.populations import Shape


class Currents:
    """Currents of a population from payloads of its sources.

    Sources that are constant in time are summed once.
    """

    def __init__(
        self,
        target: Shape,
        connections: Sequence[PreparedConnection],
        payloads: Sequence[Array],
        scratch: Scratch,
    ) -> None:
        pairs = list(zip(connections, payloads, strict=True))
        self.target = target
        self.scratch = scratch
        self.images = payloads[0].shape[1]
        self.steps = max(len(spikes) for spikes in payloads)
        self.varying = [(c, spikes) for c, spikes in pairs if len(spikes) > 1]
        constant = [(c, spikes) for c, spikes in pairs if len(spikes) == 1]
        self.constant = self._sum(constant, slice(0, 1)).copy() if constant else None

    def block(self, steps: slice) -> Int32:
        """I of these steps, (steps, images, *target); a leading 1 if nothing varies in time.

        The array lies in the scratch: the next block takes its place.
        """
        if not self.varying:
            assert self.constant is not None  # a population without sources has no currents
            return self.constant
        current = self._sum(self.varying, steps)
        if self.constant is not None:
            np.add(current, self.constant, out=current)
        return current

    def _sum(self, pairs: Sequence[tuple[PreparedConnection, Array]], steps: slice) -> Int32:
        count = len(pairs[0][1][steps])
        total = self.scratch.take("current", (count * self.images, *self.target), np.int32)
        for index, (connection, payloads) in enumerate(pairs):
            frames = payloads[steps].reshape(len(total), *payloads.shape[2:])
            connection.add_to(total, frames, fresh=index == 0)
        return total.reshape(count, self.images, *self.target)
