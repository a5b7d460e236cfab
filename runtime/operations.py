"""Operations of one inference, per layer: counted for the spiking network, exact for the ANN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from spikec.compiler.macs import connection_macs, network_macs
from spikec.compiler.populations import AdaFire, Fire, Input, MaxPool
from spikec.compiler.program import Program
from spikec.runtime.counts import LayerCounts


class Operation(StrEnum):
    """What a cost table can put a price on; numbers are per image."""

    ANN_MACS = "ann_macs"
    """Multiply-accumulates of the dense network, weights of zero included."""
    FIRST_LAYER_MACS = "first_layer_macs"
    """Those of the program that read the input, copies included: dense, once per image."""
    FIRST_LAYER_MACS_EVERY_STEP = "first_layer_macs_every_step"
    """The same at every step that an image takes: T times, or fewer with an early exit."""
    ANALOG_EVENTS = "analog_events"
    """Counted weight × pixel products of non-zero input payloads, in all T steps."""
    ANALOG_EVENTS_ONCE = "analog_events_once"
    """The same in step 1 only: a constant input needs its current once."""
    GRADED = "graded"
    """Counted synaptic operations on spikes: one weight × payload per event and synapse."""
    UNARY = "unary"
    """Counted synaptic operations on spikes: |n| accumulates per event and synapse."""
    NEURON_UPDATES = "neuron_updates"
    """Neurons × T, or × the steps that an image takes."""
    ACTIVE_UPDATES = "active_updates"
    """The part of them that fired."""
    IDLE_UPDATES = "idle_updates"
    """The part of them that did not fire."""


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of the dense network between two layers.

    Attributes:
        number: Per image.
        bits: Width of the activation that an integer network of the same resolution reads.
    """

    number: int
    bits: int


@dataclass(frozen=True)
class LayerOperations:
    """Operations of one layer per image.

    Attributes:
        layer: Name of the population.
        macs: Multiply-accumulates of the dense network, per layer that this one reads.
        numbers: Every Operation per image.
    """

    layer: str
    macs: tuple[Macs, ...]
    numbers: Mapping[Operation, float]


def activation_bits(program: Program, name: str) -> int:
    """Bits of the integer activation that carries as much as this population's spike count.

    ⌈log2(φT + 1)⌉, or ⌈log2(2φT + 1)⌉ for signed spikes, whose count runs from −φT to φT; the
    width of a payload for the input; the widest source for a max_pool.

    Source: algorithms.md, A.10, quantised ANN of the same resolution.
    """
    population = program.population(name)
    match population:
        case Input():
            return population.bits
        case AdaFire():
            levels = population.phi * program.timesteps
            if population.fire is Fire.SIGNED:
                levels *= 2
            return levels.bit_length()  # ⌈log2(levels + 1)⌉, exact
        case MaxPool():
            return max(activation_bits(program, c.source) for c in program.into(name))
        case _:
            raise ValueError(f"{name} emits nothing")


def layer_operations(
    program: Program, layers: Sequence[LayerCounts]
) -> tuple[LayerOperations, ...]:
    """Operations per image of every layer, from summed counts."""
    dense = network_macs(program)
    return tuple(_of_layer(program, layer, dense.get(layer.name, {})) for layer in layers)


def _of_layer(program: Program, layer: LayerCounts, dense: Mapping[str, int]) -> LayerOperations:
    macs = tuple(Macs(number, activation_bits(program, n)) for n, number in dense.items())
    of_input = (c for c in program.into(layer.name) if c.source == program.input.name)
    first = sum(connection_macs(program, connection) for connection in of_input)
    active = 0 if layer.kind == "input" else int(layer.events.sum())
    per_image = {
        Operation.ANALOG_EVENTS: layer.analog.sum(),
        Operation.ANALOG_EVENTS_ONCE: layer.analog[:, 0].sum(),
        Operation.GRADED: layer.graded.sum(),
        Operation.UNARY: layer.unary.sum(),
        Operation.NEURON_UPDATES: layer.neuron_updates,
        Operation.ACTIVE_UPDATES: active,
        Operation.IDLE_UPDATES: layer.neuron_updates - active,
    }
    return LayerOperations(
        layer.name,
        macs,
        {
            Operation.ANN_MACS: float(sum(m.number for m in macs)),
            Operation.FIRST_LAYER_MACS: float(first),
            Operation.FIRST_LAYER_MACS_EVERY_STEP: float(first * layer.steps_run / layer.images),
            **{name: float(total) / layer.images for name, total in per_image.items()},
        },
    )
