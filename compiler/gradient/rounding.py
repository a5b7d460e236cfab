"""Rounding that gradients pass straight through: inputs and weights as a program has them.

Backwards, round(x) counts as x (the straight-through estimator; Bengio, Léonard, Courville 2013).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from spikec.compiler.gradient.weight_grids import Summand, WeightGrid

if TYPE_CHECKING:
    from torch import Tensor


def straight(exact: Tensor, rounded: Tensor) -> Tensor:
    """The second forwards, the first backwards."""
    return exact + (rounded - exact).detach()


def encoded(image: Tensor, scale: Tensor, limit: int) -> Tensor:
    """The input as its payloads carry it, (N, C, …); scale per payload, (C,) or (1,)."""
    spread = scale.reshape(-1, *[1] * (image.dim() - 2))
    return (image / spread).round().clamp(-limit, limit) * spread


class GridRounding:
    """Rounds the weights that lead to one population."""

    def __init__(self, grid: WeightGrid) -> None:
        self._grid = grid
        self._lines = tuple(map(_Line, grid.summands))

    def __call__(
        self, weights: Mapping[str, Tensor], scales: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The weights by node, each on its grid; the gradient goes to the weights alone.

        Args:
            weights: By node, outputs first for a dense matrix.
            scales: Value of a payload of every population by name, (C,) or (1,), no gradient.
        """
        import torch

        units = [line.units(scales) for line in self._lines]
        steps = self._steps(weights, units)
        result: dict[str, Tensor] = {}
        for line, unit in zip(self._lines, units, strict=True):
            if not line.node:
                continue
            weight = weights[line.node]
            step = torch.where(line.channels >= 0, steps[line.channels.clamp(min=0)], 1.0)
            whole = (weight.detach() * unit / step).round()
            whole = whole.clamp(-self._grid.limit, self._grid.limit)
            silent = unit == 0  # weights that another path reads, or none
            kept = result.get(line.node, weight).detach()
            rounded = torch.where(silent, kept, whole * step / torch.where(silent, 1.0, unit))
            result[line.node] = straight(weight, rounded)
        return result

    def _steps(self, weights: Mapping[str, Tensor], units: list[Tensor]) -> Tensor:
        """The step s of each channel, (channels,)."""
        import torch

        peaks = torch.zeros(self._grid.channels)
        for line, unit in zip(self._lines, units, strict=True):
            size = unit.abs()
            if line.node:
                size = size * weights[line.node].detach().abs()
            arrives = line.channels >= 0
            peaks.scatter_reduce_(0, line.channels[arrives], size[arrives], "amax")
        return torch.where(peaks > 0, peaks, 1.0) / self._grid.limit


class _Line:
    """A summand as tensors."""

    def __init__(self, summand: Summand) -> None:
        import torch

        self.node, self.source = summand.node, summand.source
        self.channels = torch.from_numpy(np.array(summand.channels))
        self._readers = torch.from_numpy(np.array(summand.readers)).clamp(min=0)
        gains = np.where(summand.readers >= 0, summand.gains / summand.factor, 0)
        self._gains = torch.from_numpy(gains.astype(np.float32))

    def units(self, scales: Mapping[str, Tensor]) -> Tensor:
        """Current per weight and payload, in units of the activation."""
        scale = scales[self.source]
        return (scale[self._readers] if len(scale) > 1 else scale) * self._gains
