"""Spikes step by step, as a program fires them: what a mean current alone does not tell.

A population that fires before its last step can send what it would later want back, or receive too
late what it can no longer send. Its time mean is then not the transfer function of its mean
current. The steps are run one by one, forwards and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spikec.compiler.arrays import Float64
from spikec.compiler.copies import starts
from spikec.compiler.gradient.operators import Operation
from spikec.compiler.gradient.rounding import straight
from spikec.compiler.gradient.steps import Range, payloads
from spikec.compiler.ir import Neuron
from spikec.compiler.populations import Fire

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Firing:
    """How a population fires.

    Attributes:
        timesteps: T.
        phi: Largest payload.
        fire: Rule.
        windowed: Whether it fires after all of its input.
        delay: Thresholds by which the membrane starts lower; they come back over the T steps;
            broadcastable to one image.
        start: Thresholds at which the membrane starts else, likewise.
    """

    timesteps: int
    phi: int
    fire: Fire
    windowed: bool
    delay: Tensor
    start: Tensor

    @classmethod
    def of(cls, neuron: Neuron, timesteps: int, axes: int) -> Firing:
        """Of an annotated population whose images have so many axes."""
        import torch

        delay: Float64 = np.zeros(1) if neuron.delay is None else neuron.delay
        start = starts(neuron.copy_of)
        spread = [
            torch.from_numpy(each.astype(np.float32)).reshape(-1, *[1] * (axes - 1))
            for each in (delay, start)
        ]
        return cls(timesteps, neuron.phi, neuron.fire, neuron.windowed, *spread)

    @property
    def range(self) -> tuple[int, int]:
        """Fewest and most spikes over all steps."""
        most = self.phi * self.timesteps
        return (-most if self.fire is Fire.SIGNED else 0), most


def fired(current: Tensor, firing: Firing) -> Tensor:
    """Payloads of each step, as a program fires them.

    Backwards a payload counts as the membrane potential above one half where it is inside the
    payload's range, and what a step does not send stays for later ones: charge that is sent at
    no step has no gradient. (Surrogate gradients, Neftci, Mostafa, Zenke, 2019; a window as wide
    as a threshold.)

    Args:
        current: In thresholds, (T, N, C, …), or (1, N, C, …) if it never changes.
        firing: The rule.

    Returns:
        Floats, (T, N, C, …); of a window (1, N, C, …), their mean.
    """
    if firing.windowed or firing.timesteps == 1:
        drive = current.sum(0, keepdim=True) * (firing.timesteps / len(current))
        low, high = firing.range
        total = straight(drive.clamp(low, high), (drive + firing.start).floor().clamp(low, high))
        return total / firing.timesteps
    arriving = current + firing.delay / firing.timesteps
    limits = Range.of(firing.fire, firing.phi)
    return payloads(arriving, firing.start - firing.delay, firing.timesteps, limits)


def stepwise(
    operate: Operation, trains: Mapping[int, Tensor], constants: Mapping[int, Tensor]
) -> Tensor:
    """An operator on every step of its operands, (T or 1, N, …) each."""
    steps = max(len(train) for train in trains.values())
    flat = {s: t.expand(steps, *t.shape[1:]).flatten(0, 1) for s, t in trains.items()}
    result = operate(flat | dict(constants))
    return result.reshape(steps, -1, *result.shape[1:])


def pooled(operate: Operation, trains: Mapping[int, Tensor]) -> Tensor:
    """A max_pool: the growth of the largest running count, (T or 1, N, …)."""
    import torch

    (train,) = trains.values()
    if len(train) == 1:
        return stepwise(operate, trains, {})
    largest = stepwise(operate, {slot: t.cumsum(0) for slot, t in trains.items()}, {})
    return torch.diff(largest, dim=0, prepend=torch.zeros_like(largest[:1]))
