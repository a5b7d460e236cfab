"""One population step by step, and its gradients back through the steps.

Automatic differentiation would keep every potential of every step; here one bit per payload stays:
whether a gradient passes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from spikec.compiler.populations import Fire

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Range:
    """Payloads of one step.

    Attributes:
        low: Smallest payload, of RETRACT 0.
        phi: Largest payload.
        retracts: Whether spikes that were sent can be taken back.
    """

    low: int
    phi: int
    retracts: bool

    @classmethod
    def of(cls, fire: Fire, phi: int) -> Range:
        """Of a rule."""
        return cls(-phi if fire is Fire.SIGNED else 0, phi, fire is Fire.RETRACT)


def payloads(current: Tensor, start: Tensor, timesteps: int, limits: Range) -> Tensor:
    """What is sent at each step, (T, N, C, …), with gradients to the current.

    Args:
        current: (T or 1, N, C, …), in thresholds.
        start: Potential before the first step, in thresholds, broadcastable to (N, C, …).
        timesteps: T.
        limits: Of one payload.
    """
    sent: Tensor = _function()(current, start, timesteps, limits)
    return sent


def _sent(current: Tensor, start: Tensor, timesteps: int, limits: Range) -> tuple[Tensor, Tensor]:
    """Payloads, and which of them pass a gradient."""
    import torch

    sent = torch.empty_like(current.expand(timesteps, *current.shape[1:]))
    passes = torch.empty_like(sent, dtype=torch.bool)
    potential = torch.zeros_like(sent[0]).add_(start)
    total = torch.zeros_like(potential)
    low = torch.full_like(potential, limits.low)
    for step, arriving in enumerate(current.expand_as(sent)):
        potential += arriving
        if limits.retracts:
            torch.clamp(-total, min=-limits.phi, out=low)
        payload = torch.floor(potential, out=sent[step]).clamp_(max=limits.phi)
        torch.maximum(payload, low, out=payload)
        torch.logical_and(potential > low + 0.5, potential < limits.phi + 0.5, out=passes[step])
        potential -= payload
        total += payload
    return sent, passes


def _back(passes: Tensor, gradient: Tensor) -> Tensor:
    """What the loss changes by per current: as by the next payload that can change."""
    import torch

    later = torch.zeros_like(gradient[0])
    result = torch.empty_like(gradient)
    for step in reversed(range(len(gradient))):
        later = torch.where(passes[step], gradient[step], later, out=result[step])
    return result


@cache
def _function() -> Callable[..., Tensor]:
    """The two directions as torch wants them."""
    from torch.autograd import Function

    class Payloads(Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, current: Tensor, start: Tensor, steps: int, limits: Range) -> Tensor:
            sent, passes = _sent(current, start, steps, limits)
            ctx.save_for_backward(passes)
            ctx.constant = len(current) == 1
            return sent

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
            (passes,) = ctx.saved_tensors
            result = _back(passes, gradient)
            return result.sum(0, keepdim=True) if ctx.constant else result, None, None, None

    apply: Callable[..., Tensor] = Payloads.apply
    return apply
