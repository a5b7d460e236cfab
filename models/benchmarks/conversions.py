"""Networks that SpikingJelly and sinabs convert, and what they emit at every step.

All of them read the preprocessed image at every step, in float32, fire one spike or none per
neuron and step, subtract the threshold when they fire, and sum the logits over steps. What a run
of fewer steps gives is therefore the beginning of a longer run.

SpikingJelly: ``ann2snn.Converter`` with ``RateCodingRecipe``, whose own options take three of the
variants here: ``mode`` ("99.9%", "Max"), and ``channel_wise`` 99 % with ``half_threshold``, whose
neuron starts at half a threshold; percentiles are of all activations, zeros included. The fourth is
``LocalThresholdBalancingRecipe`` (Bu, Li and Yu, CVPR 2025), by channel and from half a threshold:
its thresholds grow batch by batch by what exceeds them, so it is shown the images ten times.

sinabs: ``from_model``, with ``SingleSpike`` instead of its default of several spikes, and else its
own defaults: membranes start at 0 and are cut off below −1 threshold. ``from_model`` normalises
nothing; ``sinabs.utils.normalize_weights`` does for one layer after the other, but leaves each
bias at the scale of the layers before and the two branches of an Add at different scales, so it
changes what a network with biases computes. Besides it, ``around_relus`` divides in front of every
ReLU by the percentile of its activations and multiplies behind it, which changes nothing.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from functools import partial

import numpy as np
import torch
from torch import Tensor, fx, nn

from spikec.compiler.arrays import Array

BALANCING_PASSES = 10
"""Over all calibration images."""
BALANCING_BATCH = 32
"""Images."""


class Converted(ABC):
    """A converted network.

    Attributes:
        counts: Spikes of every population in the run at hand, (steps, images) each.
    """

    def __init__(self) -> None:
        self.counts: list[Tensor] = []

    @abstractmethod
    def forward(self, inputs: Tensor, timesteps: int) -> Tensor:
        """Logits at each step, (T, images, classes)."""

    @abstractmethod
    def spikes(self) -> Tensor:
        """Spikes of that run, (T, images)."""

    def run(self, inputs: Tensor, timesteps: int, batch: int = 10) -> tuple[Array, Array]:
        """Summed logits and spikes after each step, (images, T, classes) and (images, T)."""
        logits, spikes = [], []
        with torch.no_grad():
            for part in inputs.split(batch):
                self.counts.clear()
                logits.append(self.forward(part, timesteps).cumsum(0).transpose(0, 1).numpy())
                spikes.append(self.spikes().cumsum(0).T.numpy())
        return np.concatenate(logits), np.concatenate(spikes)


class SpikingJelly(Converted):
    """ANN2SNN.

    Args:
        twin: The float network; it stays as it is.
        images: Calibrated with.
        recipe: Of the library, for these images.
    """

    def __init__(
        self, twin: fx.GraphModule, images: Tensor, recipe: Callable[[Tensor], object]
    ) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from spikingjelly.activation_based import ann2snn, functional, neuron
        converter = ann2snn.Converter(recipe(images))
        self.network = converter.convert(deepcopy(twin)).eval()
        self.reset = functional.reset_net
        nodes = [m for m in self.network.modules() if isinstance(m, neuron.BaseNode)]
        self.populations = len(nodes)
        for node in nodes:
            node.register_forward_hook(self._fired)

    def _fired(self, module: nn.Module, inputs: object, spikes: Tensor) -> None:
        self.counts.append(spikes.flatten(1).sum(1, dtype=torch.float64))

    def forward(self, inputs: Tensor, timesteps: int) -> Tensor:
        """Step by step."""
        self.reset(self.network)
        return torch.stack([self.network(inputs).double() for _ in range(timesteps)])

    def spikes(self) -> Tensor:
        """Populations fire in turn, step by step."""
        counts = torch.stack(self.counts)
        return counts.unflatten(0, (-1, self.populations)).sum(1)


def rate_coding(images: Tensor, mode: str, by_channel: bool = False) -> object:
    """Thresholds by a statistic of all images in one batch, so that no momentum is left in it.

    Args:
        images: Calibrated with.
        mode: The statistic.
        by_channel: Thresholds by channel, and membranes that start at half a threshold.
    """
    from spikingjelly.activation_based.ann2snn import RateCodingRecipe

    return RateCodingRecipe([images], mode=mode, channel_wise=by_channel, half_threshold=by_channel)


def local_balancing(images: Tensor) -> object:
    """Thresholds that grow with every batch."""
    from spikingjelly.activation_based.ann2snn import LocalThresholdBalancingRecipe

    return LocalThresholdBalancingRecipe(images.split(BALANCING_BATCH) * BALANCING_PASSES)


class Sinabs(Converted):
    """from_model.

    Args:
        twin: The float network; it stays as it is.
        images: Calibrated with.
        normalised: Gives a network whose activations are normalised by a percentile.
        percentile: 100: the maximum.
    """

    def __init__(
        self,
        twin: fx.GraphModule,
        images: Tensor,
        normalised: Callable[[fx.GraphModule, Tensor, float], nn.Module],
        percentile: float,
    ) -> None:
        super().__init__()
        self.normalised = normalised(deepcopy(twin), images, percentile)

    def _fired(self, module: nn.Module, inputs: object, spikes: Tensor) -> None:
        by_image = spikes.unflatten(0, (-1, self.timesteps)).flatten(2)
        self.counts.append(by_image.sum(2, dtype=torch.float64).T)

    def forward(self, inputs: Tensor, timesteps: int) -> Tensor:
        """All steps of a population in one batch, the steps of an image side by side."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sinabs.activation import SingleSpike
            from sinabs.from_torch import from_model
            from sinabs.layers import StatefulLayer
        self.timesteps = timesteps
        network = from_model(self.normalised, spike_fn=SingleSpike, num_timesteps=timesteps)
        spiking = network.spiking_model.eval()
        for module in spiking.modules():
            if isinstance(module, StatefulLayer):
                module.register_forward_hook(self._fired)
        logits = spiking(inputs.repeat_interleave(timesteps, 0)).double()
        return logits.unflatten(0, (-1, timesteps)).transpose(0, 1)

    def spikes(self) -> Tensor:
        """Every population has fired all its spikes at once."""
        return torch.stack(self.counts).sum(0)


def normalize_weights(twin: fx.GraphModule, images: Tensor, percentile: float) -> nn.Module:
    """The library's own normalisation."""
    from sinabs.utils import normalize_weights as normalised_in_place

    relus = [node for node in twin.graph.nodes if _is_relu(twin, node)]
    behind = [_layer_before(twin, relu) for relu in relus]
    normalised_in_place(twin, images, [r.target for r in relus], behind, percentile)
    return twin


def around_relus(twin: fx.GraphModule, images: Tensor, percentile: float) -> nn.Module:
    """A factor in front of every ReLU and its inverse behind, the network computes the same."""
    scales: dict[str, float] = {}

    def measured(name: str, module: nn.Module, inputs: object, values: Tensor) -> None:
        scales[name] = float(np.percentile(values.numpy(), percentile))

    relus = [node for node in twin.graph.nodes if _is_relu(twin, node)]
    hooks = [
        twin.get_submodule(r.target).register_forward_hook(partial(measured, r.target))
        for r in relus
    ]
    with torch.no_grad():
        twin(images)
    for hook in hooks:
        hook.remove()
    for name, scale in scales.items():
        twin.set_submodule(name, nn.Sequential(Factor(1 / scale), nn.ReLU(), Factor(scale)))
    return twin


class Factor(nn.Module):
    """A constant factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        """The product."""
        return values * self.factor


def _is_relu(twin: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(twin.get_submodule(node.target), nn.ReLU)


def _layer_before(twin: fx.GraphModule, node: fx.Node) -> str:
    """The convolution or matrix that a ReLU reads, through the first operand of an Add."""
    while node.op != "call_module" or not list(twin.get_submodule(node.target).parameters()):
        node = node.args[0]
    return str(node.target)


LIBRARIES: dict[str, Callable[[fx.GraphModule, Tensor], Converted]] = {
    "spikingjelly-99.9": partial(SpikingJelly, recipe=partial(rate_coding, mode="99.9%")),
    "spikingjelly-max": partial(SpikingJelly, recipe=partial(rate_coding, mode="Max")),
    "spikingjelly-channel-99-half": partial(
        SpikingJelly, recipe=partial(rate_coding, mode="99%", by_channel=True)
    ),
    "spikingjelly-balanced": partial(SpikingJelly, recipe=local_balancing),
    "sinabs-99": partial(Sinabs, normalised=around_relus, percentile=99),
    "sinabs-max": partial(Sinabs, normalised=around_relus, percentile=100),
    "sinabs-normalize_weights-99": partial(Sinabs, normalised=normalize_weights, percentile=99),
}
