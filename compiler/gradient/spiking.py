"""One batch through the network as its program fires it, for gradients to follow back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikec.compiler.copies import carriers
from spikec.compiler.gradient.parameters import Parameters, constants_of
from spikec.compiler.gradient.student import Student
from spikec.compiler.gradient.trains import Firing, fired, pooled, stepwise
from spikec.compiler.ir import INPUT, Neuron, Node

if TYPE_CHECKING:
    from torch import Tensor


def rounded(student: Student, parameters: Parameters, images: Tensor) -> dict[str, Tensor]:
    """Time means of all populations, every step fired as a program fires it.

    Args:
        student: The network.
        parameters: Which it is to have.
        images: (N, …).

    Returns:
        By name of the node, (N, C, …), in units of the activation.
    """
    run = _Run(student, parameters, images)
    for node in student.nodes:
        run.visit(node)
    nodes = {node.name: node for node in student.nodes}
    return {name: _together(run.trains[name].mean(0), nodes[name]) for name in student.populations}


def _together(mean: Tensor, node: Node) -> Tensor:
    """Time means of a population; copies of one value have the mean of all."""
    import torch

    if node.neuron is None or node.neuron.copy_of is None:
        return mean
    copy_of = torch.from_numpy(node.neuron.copy_of)
    shares = torch.from_numpy(1 / carriers(node.neuron.copy_of)).to(mean.dtype)
    parts = mean * shares.reshape(-1, *[1] * (mean.dim() - 2))
    return torch.zeros_like(mean).index_add(1, copy_of, parts).index_select(1, copy_of)


class _Run:
    """What every node sends step by step, (T, N, …), or (1, N, …) if it never changes."""

    def __init__(self, student: Student, parameters: Parameters, images: Tensor) -> None:
        self._student, self._parameters = student, parameters
        self._thresholds = student.thresholds(parameters)
        self._weights = student.weights(parameters)
        self._images = images
        self.trains: dict[str, Tensor] = {}

    def visit(self, node: Node) -> None:
        """The train of one node, behind those that it reads."""
        train = self._images[None] if node.op == INPUT else self._operated(node)
        neuron = node.neuron
        if neuron is not None and neuron.kind == "input":
            train = self._student.encoded(node, train[0])[None]
        elif neuron is not None and neuron.kind == "readout":
            train = train + self._shift(node, train)
        elif neuron is not None and neuron.kind == "adafire":
            train = self._emitted(node, neuron, train)
        self.trains[node.name] = train

    def _operated(self, node: Node) -> Tensor:
        slots = self._student.operands(node)
        operate = self._student.operation(node)
        trains = {slot: self.trains[name] for slot, name in slots.items()}
        if node.neuron is not None and node.neuron.kind == "max_pool":
            return pooled(operate, trains)
        if node.neuron is not None and node.op in ("Relu", "Clip"):
            return trains[0]  # the neuron rectifies its sum, not each step
        return stepwise(operate, trains, constants_of(node, self._weights, self._parameters))

    def _emitted(self, node: Node, neuron: Neuron, current: Tensor) -> Tensor:
        axes = current.dim() - 2
        spread = self._thresholds[node.name].reshape(-1, *[1] * (axes - 1))
        firing = Firing.of(neuron, self._student.timesteps, axes)
        return fired((current + self._shift(node, current)) / spread, firing) * spread

    def _shift(self, node: Node, train: Tensor) -> Tensor:
        return self._student.shift(node, train.dim() - 2)
