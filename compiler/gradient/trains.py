"""Spikes step by step, as a program fires them: what a mean current alone does not tell.

A population that fires before its last step can send what it would later want back, or receive too
late what it can no longer send. Its time mean is then not the transfer function of its mean
current. The steps are run one by one, without gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spikec.compiler.arrays import Float64
from spikec.compiler.gradient.operators import Operation
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
    """

    timesteps: int
    phi: int
    fire: Fire
    windowed: bool
    delay: Tensor

    @classmethod
    def of(cls, neuron: Neuron, timesteps: int, axes: int) -> Firing:
        """Of an annotated population whose images have so many axes."""
        import torch

        delay: Float64 = np.zeros(1) if neuron.delay is None else neuron.delay
        spread = torch.from_numpy(delay.astype(np.float32)).reshape(-1, *[1] * (axes - 1))
        return cls(timesteps, neuron.phi, neuron.fire, neuron.windowed, spread)

    @property
    def range(self) -> tuple[int, int]:
        """Fewest and most spikes over all steps."""
        most = self.phi * self.timesteps
        return (-most if self.fire is Fire.SIGNED else 0), most


def fired(current: Tensor, firing: Firing) -> tuple[Tensor, Tensor]:
    """Payloads of each step, and their sum.

    Args:
        current: In thresholds, (T, N, C, …), or (1, N, C, …) if it never changes.
        firing: The rule.

    Returns:
        Floats: payloads, (T, N, C, …), of a window (1, N, C, …), their mean; and totals, (N, C, …).
    """
    import torch

    low, high = firing.range
    if firing.windowed or firing.timesteps == 1:
        drive = current.sum(0) * (firing.timesteps / len(current))
        total = (drive + 0.5).floor().clamp(low, high)
        return (total / firing.timesteps)[None], total
    smallest = 0 if firing.fire is Fire.PLAIN else -firing.phi
    potential = (0.5 - firing.delay).expand_as(current[0]).clone()
    back = firing.delay / firing.timesteps
    total, payloads = torch.zeros_like(potential), []
    for arriving in current.expand(firing.timesteps, *current.shape[1:]):
        potential += arriving + back
        payload = potential.floor().clamp(smallest, firing.phi)
        if firing.fire is Fire.RETRACT:
            payload = torch.maximum(payload, -total)
        potential -= payload
        total += payload
        payloads.append(payload)
    return torch.stack(payloads), total


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
