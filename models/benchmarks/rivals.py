"""Other ways to run a program: a plain PyTorch loop, SpikingJelly, sinabs.

All of them run the same network in float32, the same T, thresholds, biases and start values, on
one thread and without gradients. What a network receives at every step alike, the current of the
first layer, is computed once for all of them. Biases are in the convolutions.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch_layers import CurrentInto, as_tensor, is_constant

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.populations import AdaFire, Fire
from spikec.compiler.program import Program


class Neurons(ABC):
    """The neurons of one population in some library."""

    @abstractmethod
    def start(self, images: int) -> None:
        """Return to the start values, for a batch."""

    @abstractmethod
    def __call__(self, current: Tensor) -> Tensor:
        """Payloads under a current that includes the bias."""


class Rival(ABC):
    """A program in another library.

    Args:
        program: Of AdaFire populations that fire at once, plainly or signed.
        layout: Memory format of kernels; channels last is faster for some networks.
    """

    divided = False
    """Whether weights are divided by thresholds, because the library knows one threshold only."""

    def __init__(
        self, program: Program, layout: torch.memory_format = torch.contiguous_format
    ) -> None:
        self.program, self.layout = program, layout
        self.populations = [p for p in program.populations if isinstance(p, AdaFire)]
        self.neurons = {p.name: self.population(p) for p in self.populations}
        self.currents = {p.name: self._current(p) for p in self.populations}
        self.scores = CurrentInto(program, program.readout)
        self.constant = {p.name for p in self.populations if is_constant(program, p)}

    def _current(self, population: AdaFire) -> CurrentInto:
        divide = self.divided and population.threshold.size > 1
        divisor = population.threshold if divide else 1
        return CurrentInto(self.program, population, divisor, self.layout)

    @abstractmethod
    def population(self, population: AdaFire) -> Neurons:
        """The library's neurons."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Read-out potentials after each step, (images, T, *shape)."""

    def run(self, inputs: Array) -> Int64:
        """The same from quantised inputs, and as integers."""
        with torch.no_grad():
            scores: Int64 = self.forward(as_tensor(inputs)).round().to(torch.int64).numpy()
        return scores


class Stepwise(Rival):
    """Step by step, population by population."""

    def forward(self, inputs: Tensor) -> Tensor:
        """All T steps."""
        payloads = {self.program.input.name: inputs}
        constant = {name: self.currents[name](payloads) for name in self.constant}
        for neurons in self.neurons.values():
            neurons.start(len(inputs))
        total, after = torch.zeros(()), []
        for _ in range(self.program.timesteps):
            for name, neurons in self.neurons.items():
                current = constant[name] if name in constant else self.currents[name](payloads)
                payloads[name] = neurons(current)
            self.fired(payloads)
            total = total + self.scores(payloads)
            after.append(total)
        return torch.stack(after, 1)

    def fired(self, payloads: dict[str, Tensor]) -> None:
        """Told of every step's payloads."""


class Layerwise(Rival):
    """Population by population, all steps of a population in one batch.

    ``time_first`` says whether steps stand before images in that batch.
    """

    time_first = True

    def forward(self, inputs: Tensor) -> Tensor:
        """All T steps."""
        images, steps = len(inputs), self.program.timesteps
        payloads = {self.program.input.name: inputs}
        for name, neurons in self.neurons.items():
            neurons.start(images)
            current = self.currents[name](payloads)
            if name in self.constant:
                current = current.unsqueeze(0 if self.time_first else 1)
                current = current.expand(
                    *((steps, images) if self.time_first else (images, steps)), *current.shape[2:]
                )
            else:
                current = current.unflatten(
                    0, (steps, images) if self.time_first else (images, steps)
                )
            payloads[name] = neurons(current).flatten(0, 1)
        scores = self.scores(payloads)
        if self.time_first:
            return scores.unflatten(0, (steps, images)).cumsum(0).transpose(0, 1)
        return scores.unflatten(0, (images, steps)).cumsum(1)


class PlainNeurons(Neurons):
    """As one would write them in PyTorch, in place."""

    def __init__(
        self, population: AdaFire, layout: torch.memory_format = torch.contiguous_format
    ) -> None:
        if population.windowed or population.fire is Fire.RETRACT:
            raise NotImplementedError(f"{population.name} fires by a rule of spikec's own")
        self.shape, self.phi = population.shape, float(population.phi)
        self.least = -self.phi if population.fire is Fire.SIGNED else 0.0
        self.threshold = as_tensor(population.threshold)
        self.initial = as_tensor(population.initial)
        self.layout = layout if len(population.shape) == 3 else torch.contiguous_format

    def start(self, images: int) -> None:
        """Membranes return to v0."""
        start = self.initial.expand(images, *self.shape)
        self.v = start.clone(memory_format=self.layout)

    def __call__(self, current: Tensor) -> Tensor:
        """One step."""
        self.v.add_(current)
        if self.phi == 1 and not self.least:
            spikes = (self.v >= self.threshold).float()
        else:
            spikes = torch.div(self.v, self.threshold).floor_().clamp_(self.least, self.phi)
        self.v.addcmul_(spikes, self.threshold, value=-1)
        return spikes


class TorchLoop(Stepwise):
    """Plain PyTorch."""

    def population(self, population: AdaFire) -> Neurons:
        """Neurons in place."""
        return PlainNeurons(population, self.layout)


class RecordingLoop(TorchLoop):
    """The same, which keeps the payloads: what a comparison asks, not a timing."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.steps: list[dict[str, Tensor]] = []

    def fired(self, payloads: dict[str, Tensor]) -> None:
        """Keep them."""
        self.steps.append({p.name: payloads[p.name].to(torch.int16) for p in self.populations})

    def spikes(self) -> dict[str, Array]:
        """(images, T, *shape) by population."""
        names = self.steps[0]
        return {name: torch.stack([s[name] for s in self.steps], 1).numpy() for name in names}


class SpikingJellyNeurons(Neurons):
    """IFNode with soft reset; it has one threshold for all, so larger ones divide the weights."""

    def __init__(self, population: AdaFire, mode: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from spikingjelly.activation_based.neuron import IFNode
        if population.phi > 1 or population.fire is not Fire.PLAIN or population.windowed:
            raise NotImplementedError("SpikingJelly's IFNode fires one spike or none")
        self.shape = population.shape
        same = population.threshold.size == 1
        self.node = IFNode(
            v_threshold=float(population.threshold.item()) if same else 1.0,
            v_reset=None,
            step_mode=mode,
        ).eval()
        scale = 1 if same else population.threshold
        self.initial = as_tensor(population.initial / scale)

    def start(self, images: int) -> None:
        """Membranes return to v0."""
        self.node.reset()
        self.node.v = self.initial.expand(images, *self.shape).clone()

    def __call__(self, current: Tensor) -> Tensor:
        """One step, or all of them."""
        spikes: Tensor = self.node(current)
        return spikes


class SpikingJellySteps(Stepwise):
    """SpikingJelly, step by step."""

    divided = True

    def population(self, population: AdaFire) -> Neurons:
        """IFNode in its single-step mode."""
        return SpikingJellyNeurons(population, "s")


class SpikingJellyLayers(Layerwise):
    """SpikingJelly, layer by layer."""

    divided = True

    def population(self, population: AdaFire) -> Neurons:
        """IFNode in its multi-step mode, which has a loop over steps in one operator."""
        return SpikingJellyNeurons(population, "m")


class SinabsNeurons(Neurons):
    """IAF with one spike or, for φ > 1, MaxSpike."""

    def __init__(self, population: AdaFire) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sinabs.activation import MaxSpike, SingleSpike
            from sinabs.layers import IAF
        if population.fire is not Fire.PLAIN or population.windowed:
            raise NotImplementedError("sinabs fires no negative spikes")
        self.shape = population.shape
        self.layer = IAF(
            spike_threshold=as_tensor(population.threshold),
            spike_fn=SingleSpike if population.phi == 1 else MaxSpike(population.phi),
        ).eval()
        self.initial = as_tensor(population.initial)

    def start(self, images: int) -> None:
        """Membranes return to v0."""
        self.layer.init_state_with_shape((images, *self.shape))
        self.layer.v_mem = self.initial.expand(images, *self.shape).clone()

    def __call__(self, current: Tensor) -> Tensor:
        """All steps."""
        spikes: Tensor = self.layer(current)
        return spikes


class Sinabs(Layerwise):
    """sinabs, layer by layer."""

    time_first = False

    def population(self, population: AdaFire) -> Neurons:
        """IAF."""
        return SinabsNeurons(population)


RIVALS: dict[str, type[Rival]] = {
    "PyTorch loop": TorchLoop,
    "SpikingJelly, step by step": SpikingJellySteps,
    "SpikingJelly, multi-step": SpikingJellyLayers,
    "sinabs": Sinabs,
}
