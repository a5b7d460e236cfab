"""Choice: what a search decides for one layer, and the neuron that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from spikec.compiler.ir import Graph, Neuron, Node
from spikec.compiler.populations import Fire


class Mode(StrEnum):
    """How a layer fires; a signed layer stays signed and may only be windowed."""

    PLAIN = "plain"
    """As its potential rises."""
    RETRACT = "retract"
    """And takes back what came too early."""
    WINDOWED = "windowed"
    """Behind its last input step, as if all input had come at once."""


@dataclass(frozen=True, order=True)
class Choice:
    """One way to run a layer.

    Attributes:
        phi: φ, largest payload per step.
        mode: How it fires.
        compression: ρ ≥ 1, factor on its thresholds; it sends about ρ times fewer spikes.
    """

    phi: int
    mode: Mode = Mode.PLAIN
    compression: float = 1.0

    def __str__(self) -> str:
        mode = "" if self.mode is Mode.PLAIN else f" {self.mode}"
        compression = "" if self.compression == 1 else f" ρ={self.compression:g}"
        return f"φ={self.phi}{mode}{compression}"


Assignment = Mapping[str, Choice]
"""A choice per layer, by the name of its node, never by position."""


def searched_nodes(graph: Graph) -> tuple[Node, ...]:
    """The nodes that a search chooses for: those whose population fires."""
    return tuple(n for n in graph if n.neuron is not None and n.neuron.kind == "adafire")


def neuron_of(node: Node) -> Neuron:
    """The neuron of a node that is searched."""
    assert node.neuron is not None
    return node.neuron


def choices_of(graph: Graph) -> dict[str, Choice]:
    """What every searched node is already, by name."""
    return {node.name: choice_of(neuron_of(node)) for node in searched_nodes(graph)}


def choice_of(neuron: Neuron) -> Choice:
    """What a neuron is already."""
    if neuron.windowed:
        mode = Mode.WINDOWED
    else:
        mode = Mode.RETRACT if neuron.fire is Fire.RETRACT else Mode.PLAIN
    return Choice(neuron.phi, mode)


def modes_for(neuron: Neuron, allowed: tuple[Mode, ...]) -> tuple[Mode, ...]:
    """The allowed modes that a neuron can take; its own if there is none."""
    taken = tuple(m for m in allowed if neuron.fire is not Fire.SIGNED or m is not Mode.RETRACT)
    return taken or (choice_of(neuron).mode,)


def fired_as(neuron: Neuron, choice: Choice) -> Neuron:
    """The neuron with φ and mode of a choice, its thresholds as they are."""
    fire = neuron.fire
    if fire is not Fire.SIGNED:
        fire = Fire.RETRACT if choice.mode is Mode.RETRACT else Fire.PLAIN
    windowed = choice.mode is Mode.WINDOWED
    return replace(neuron, phi=choice.phi, fire=fire, windowed=windowed)


def compressed(neuron: Neuron, ratio: float) -> Neuron:
    """The neuron with ρ times its thresholds: a spike carries ρ times as much.

    Source: paper 2 (AAAI 2025), sensitivity spike compression.
    """
    assert neuron.threshold is not None
    return replace(neuron, threshold=neuron.threshold * ratio)
