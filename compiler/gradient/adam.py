"""Adam whose steps are relative to what they change, so that no scale of the input matters.

Kingma and Ba, ICLR 2015; thresholds move by their logarithm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from spikec.compiler.gradient.parameters import Parameters

if TYPE_CHECKING:
    from torch import Tensor

_BETAS = (0.9, 0.99)
_RATES = {"weight": 2e-4, "bias": 2e-4, "threshold": 2e-4}
"""First step of each kind, relative to the root mean square of a channel's weights or a layer's
biases; of thresholds the logarithm moves."""


class Adam:
    """The optimiser of some parameters, which it changes in place."""

    def __init__(self, parameters: Parameters) -> None:
        import torch

        self._tensors = list(parameters.values())
        self._kinds = [kind for _, kind in parameters]
        self._rates = [_rate(kind, value) for (_, kind), value in parameters.items()]
        self._first = [torch.zeros_like(value) for value in self._tensors]
        self._second = [torch.zeros_like(value) for value in self._tensors]
        self._steps = 0

    def step(self, gradients: Sequence[Tensor], factors: Mapping[str, float]) -> None:
        """One step, its size times a factor for each kind of parameter."""
        import torch

        self._steps += 1
        slow, fast = (1 - beta**self._steps for beta in _BETAS)
        with torch.no_grad():
            kept = (self._kinds, self._rates, self._tensors, self._first, self._second)
            for kind, rate, tensor, first, second, gradient in zip(*kept, gradients, strict=True):
                first.lerp_(gradient, 1 - _BETAS[0])
                second.lerp_(gradient.square(), 1 - _BETAS[1])
                tensor -= factors[kind] * rate * (first / slow) / ((second / fast).sqrt() + 1e-12)


def _rate(kind: str, tensor: Tensor) -> Tensor:
    if kind == "threshold":
        import torch

        return torch.tensor(_RATES[kind])
    value = tensor.detach()
    own = (
        value.square().mean().sqrt()
        if kind == "bias"
        else (value.square().mean(dim=tuple(range(1, value.dim())), keepdim=True).sqrt())
    )
    return _RATES[kind] * own
