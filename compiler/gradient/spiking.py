"""One batch through the network as its program fires it, for gradients to follow back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from spikec.compiler.gradient.operators import Operation
from spikec.compiler.gradient.parameters import Parameters, constants_of
from spikec.compiler.gradient.rounding import rates
from spikec.compiler.gradient.trains import Firing, fired, pooled, stepwise
from spikec.compiler.ir import INPUT, Neuron, Node

if TYPE_CHECKING:
    from torch import Tensor


class Pupil(Protocol):
    """What a run needs of the network that learns; see ``student.Student``."""

    @property
    def timesteps(self) -> int:
        """T."""
        ...

    def thresholds(self, parameters: Parameters) -> dict[str, Tensor]:
        """θ by node."""
        ...

    def weights(self, parameters: Parameters) -> dict[str, Tensor]:
        """Weights by node, on their grids."""
        ...

    def operands(self, node: Node) -> dict[int, str]:
        """Sources by slot."""
        ...

    def operation(self, node: Node) -> Operation:
        """What a node computes."""
        ...

    def encoded(self, node: Node, image: Tensor) -> Tensor:
        """The input as its payloads carry it."""
        ...

    def shift(self, node: Node, axes: int) -> Tensor:
        """What calibration has added to a population's bias."""
        ...


class Rounded:
    """One run of a batch through the rates of the program.

    A mean carries gradients; a train, (T or 1, N, …), is what the program sends step by step and
    carries none. A train of one step is the mean itself.
    """

    def __init__(self, student: Pupil, parameters: Parameters, images: Tensor) -> None:
        self._student, self._parameters = student, parameters
        self._thresholds = student.thresholds(parameters)
        self._weights = student.weights(parameters)
        self._images = images
        self._trains: dict[str, Tensor] = {}
        self.means: dict[str, Tensor] = {}

    def visit(self, node: Node) -> None:
        """The mean and the train of one node."""
        if node.op == INPUT:
            mean, train = self._images, None
        else:
            mean, train = self._operated(node)
        neuron = node.neuron
        if neuron is not None and neuron.kind == "input":
            mean = self._student.encoded(node, mean)
        elif neuron is not None and neuron.kind in ("adafire", "readout"):
            mean, train = self._emitted(node, neuron, mean, train)
        self.means[node.name] = mean
        self._trains[node.name] = mean.detach()[None] if train is None else train

    def _operated(self, node: Node) -> tuple[Tensor, Tensor | None]:
        import torch

        slots = self._student.operands(node)
        operate = self._student.operation(node)
        constants = constants_of(node, self._weights, self._parameters)
        mean = operate({s: self.means[n] for s, n in slots.items()} | constants)
        trains = {s: self._trains[n] for s, n in slots.items()}
        if all(len(train) == 1 for train in trains.values()):
            return mean, None
        with torch.no_grad():
            if node.neuron is not None and node.neuron.kind == "max_pool":
                return mean, pooled(operate, trains)
            if node.neuron is not None and node.op in ("Relu", "Clip"):
                return mean, trains[0]  # the neuron rectifies its sum, not each step
            return mean, stepwise(operate, trains, constants)

    def _emitted(
        self, node: Node, neuron: Neuron, mean: Tensor, train: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        import torch

        shift = self._student.shift(node, mean.dim() - 1)
        if neuron.kind == "readout":
            return mean + shift, None
        firing = Firing.of(neuron, self._student.timesteps, mean.dim() - 1)
        spread = self._thresholds[node.name].reshape(-1, *[1] * (mean.dim() - 2))
        if node.op in ("Relu", "Clip"):  # what it clips, the neuron clips behind the shift
            mean = self.means[self._student.operands(node)[0]]
        with torch.no_grad():
            steps = mean.detach()[None] if train is None else train
            payloads, total = fired((steps + shift) / spread, firing)
        means = rates(mean + shift, spread / firing.timesteps, firing.range, total)
        return means, payloads * spread.detach()
