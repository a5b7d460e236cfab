"""Nodes: the layer of each kind of population, and of a map between two."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from spikec.backends.simulator.events.calls import Call, Place
from spikec.backends.simulator.events.driver import PHASES
from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.fire import Fire
from spikec.backends.simulator.events.gather import Gather
from spikec.backends.simulator.events.layers import Layer, Sink, clear
from spikec.backends.simulator.events.links import Relay as Relayed
from spikec.backends.simulator.events.packing import SILENT, packed_parameter
from spikec.backends.simulator.events.pool import AXES, MaxPool
from spikec.backends.simulator.events.spike_places import bits_of, payloads_of
from spikec.backends.simulator.events.state import Copy, Readout, Relay
from spikec.backends.simulator.events.windows import planar
from spikec.compiler import populations
from spikec.compiler.arrays import Int32
from spikec.compiler.geometry import window_of

SAFE = 2**30
"""Thresholds and potentials below it leave room for every step of the update in 32 bits."""


def adafire(sink: Sink, population: populations.AdaFire, vmax: int, *, recorded: bool) -> Layer:
    """Integrate and fire; windowed: first the one at all steps, then the other."""
    neurons = Neurons(sink, population, vmax)
    trace = [neurons.trace()] if recorded else []
    if population.windowed:
        step = [neurons.fire(integrates=True, emits=False)]
        release = [neurons.fire(integrates=False, emits=True), *trace]
    else:
        step, release = [neurons.fire(integrates=True, emits=True), *trace], []
    phases = {"start": neurons.start(), "step": step, "release": release}
    return sink.layer(phases, neurons.state)


class Neurons:
    """The calls of an adafire population.

    Args:
        sink: Its place in the program.
        population: Its parameters.
        vmax: Largest potential.
    """

    def __init__(self, sink: Sink, population: populations.AdaFire, vmax: int) -> None:
        self.sink = sink
        self.population = population
        self.vmax = vmax
        pixels = sink.field.pixels
        self.membrane = sink.state("membrane", pixels)
        self.total = sink.state("total", pixels)
        self.threshold = self._packed(population.threshold, SILENT)
        self.bias = self._packed(population.bias, 0)
        self.initial = self._packed(population.initial, 0)

    @property
    def remembers(self) -> bool:
        """Whether there is a running total."""
        return self.population.fire is populations.Fire.RETRACT

    @property
    def state(self) -> list[Place]:
        """Potentials and running totals."""
        return [self.membrane, self.total] if self.remembers else [self.membrane]

    def start(self) -> list[Call]:
        """V ← v0, C ← 0."""
        places = {"source": _blocks(self.initial), "target": self.membrane}
        row = self.sink.block.channels * 4
        numbers = {
            "pixels": self.sink.field.pixels,
            "source_pixel": self._pixel(self.initial),
            "target_pixel": row,
        }
        copy = Call(Copy(self.sink.block.lanes, self.sink.block.vectors), places, numbers)
        return [copy, clear(self.total, self.total.block)] if self.remembers else [copy]

    def fire(self, *, integrates: bool, emits: bool) -> Call:
        """One step."""
        population, field = self.population, self.sink.field
        places, numbers = self.sink.current()
        driven = asdict(self.sink.driven)
        if not integrates:
            driven |= {"narrow": False, "wide": False, "constant": False, "shift": 0}
            driven["paired"] = False
        kernel = Fire(
            **driven,
            rule=population.fire.value,
            unit=population.phi == 1 and population.fire is populations.Fire.PLAIN,
            payload=field.payload,
            clip=integrates and not self._stays,
            integrates=integrates,
            emits=emits,
            extended=self._extended,
            per_channel=len(self.threshold[0]) == len(self.bias[0]) == 1,
        )
        places |= {
            "membrane": self.membrane,
            "total": self.total,
            "threshold": _blocks(self.threshold),
            "bias": _blocks(self.bias),
            "bits": self.sink.bits(),
            "payloads": self.sink.payloads(),
            "saturations": Place(
                f"saturations:{self.sink.name}", image=8 * self.sink.timesteps, step=8
            ),
        }
        numbers |= {
            "phi": population.phi,
            "vmax": self.vmax,
            "threshold_pixel": self._pixel(self.threshold),
            "bias_pixel": self._pixel(self.bias),
            "bits_pixel": field.bits_pixel,
            "payloads_pixel": field.payloads_pixel,
        }
        return Call(kernel, places, numbers)

    def trace(self) -> Call:
        """Keep the potentials of this step, int32, (images, T, pixels, padded)."""
        field, row = self.sink.field, self.sink.block.channels * 4
        step = field.pixels * field.padded * 4
        target = Place(
            f"trace:{self.sink.name}", image=step * self.sink.timesteps, block=row, step=step
        )
        numbers = {
            "pixels": field.pixels,
            "source_pixel": row,
            "target_pixel": field.padded * 4,
        }
        kernel = Copy(self.sink.block.lanes, self.sink.block.vectors)
        return Call(kernel, {"source": self.membrane, "target": target}, numbers)

    @property
    def _extended(self) -> bool:
        """Whether 32 bits may overflow on the way."""
        largest = int(self.population.threshold.max())
        return largest >= SAFE or self.vmax + self._growth >= 2**31

    @property
    def _stays(self) -> bool:
        """Whether no potential can leave ±vmax in T steps.

        It grows by |I + b| per step at most; firing takes it nearer to 0, or to 0 … θ.
        """
        first = max(_magnitude(self.initial), int(self.population.threshold.max()))
        return first + self.sink.timesteps * self._growth <= self.vmax

    @property
    def _growth(self) -> int:
        """Largest |I + b|."""
        links = self.sink.links
        current = sum(link.interval.magnitude << link.shift for link in links)
        return current + _magnitude(self.bias)

    def _packed(self, parameter: Int32, padding: int) -> Int32:
        return packed_parameter(parameter, self.population.shape, self.sink.block.channels, padding)

    def _pixel(self, parameter: Int32) -> int:
        return int(parameter.strides[1]) if parameter.shape[1] > 1 else 0


def _magnitude(parameter: Int32) -> int:
    return int(np.abs(parameter.astype(np.int64)).max())


def _blocks(parameter: Int32) -> Place:
    return Place(parameter, block=int(parameter.strides[0]))


def readout(sink: Sink, population: populations.Readout) -> Layer:
    """V ← v + I + b; every step's v is kept, int64, (images, T, pixels, padded)."""
    field, channels = sink.field, sink.block.channels
    membrane = sink.state("membrane", field.pixels, 8)
    bias = packed_parameter(population.bias, population.shape, channels, 0)
    step = field.pixels * field.padded * 8
    places, numbers = sink.current()
    places |= {
        "membrane": membrane,
        "bias": _blocks(bias),
        "potentials": Place(
            f"potentials:{sink.name}", image=step * sink.timesteps, block=channels * 8, step=step
        ),
    }
    numbers |= {
        "bias_pixel": int(bias.strides[1]) if bias.shape[1] > 1 else 0,
        "potentials_pixel": field.padded * 8,
    }
    call = Call(Readout(**asdict(sink.driven)), places, numbers)
    phases = {"start": [clear(membrane, membrane.block)], "step": [call]}
    return sink.layer(phases, [membrane])


def max_pool(sink: Sink, population: populations.MaxPool) -> Layer:
    """The growth of the largest count of each window."""
    field, window = sink.field, planar(window_of(population))
    counters = sink.state("counters", sink.grid[0] * sink.grid[1])
    largest = sink.state("largest", field.pixels)
    places, numbers = sink.current()
    places |= {"counters": counters, "largest": largest}
    places |= {"bits": sink.bits(), "payloads": sink.payloads()}
    for axis, name in enumerate(AXES):
        numbers |= {
            f"out_{name}": field.grid[axis],
            f"kernel_{name}": window.kernel[axis],
            f"stride_{name}": window.strides[axis],
            f"pad_{name}": window.before[axis],
            f"dilation_{name}": window.dilations[axis],
        }
    numbers |= {"bits_pixel": field.bits_pixel, "payloads_pixel": field.payloads_pixel}
    kernel = MaxPool(**asdict(sink.driven), payload=field.payload)
    start = [clear(counters, counters.block), clear(largest, largest.block)]
    phases = {"start": start, "step": [Call(kernel, places, numbers)]}
    return sink.layer(phases, [counters, largest])


def relay(sink: Sink) -> Layer:
    """The current itself is sent on."""
    places, numbers = sink.current()
    field = sink.field
    places["bits"] = sink.bits()
    if field.payload:
        places["payloads"] = sink.payloads()
    numbers |= {"bits_pixel": field.bits_pixel, "payloads_pixel": field.payloads_pixel}
    kernel = Relay(**asdict(sink.driven), payload=field.payload)
    phase = "step" if field.steps > 1 else "constant"
    return sink.layer({phase: [Call(kernel, places, numbers)]})


def gather(relay: Relayed) -> Layer:
    """Payloads are put elsewhere by an index map, which a relay has."""
    assert relay.gather is not None
    field, origin = relay.field, relay.origin
    indices = _spread_indices(relay.gather.indices, field, origin)
    places = {
        "source_bits": bits_of(relay.source, origin),
        "source_payloads": payloads_of(relay.source, origin),
        "indices": Place(indices),
        "bits": bits_of(relay.name, field),
        "payloads": payloads_of(relay.name, field),
    }
    call = Call(Gather(field.payload), places, {"outputs": indices.size})
    phase = "step" if field.steps > 1 else "constant"
    phases = {name: [call] if name == phase else [] for name in PHASES}
    return Layer(relay.name, (relay.source,), 1, phases, (), {}, {})


def _spread_indices(indices: Int32, field: Field, origin: Field) -> Int32:
    """For every output [pixel][padded channel] the element of the source's, int32; −1 for none."""
    flat = indices.reshape(field.channels, field.pixels).astype(np.int64)
    channel, pixel = flat // origin.pixels, flat % origin.pixels
    placed = np.where(flat >= 0, pixel * origin.padded + channel, -1)
    spread = np.full((field.pixels, field.padded), -1, np.int32)
    spread[:, : field.channels] = placed.T
    return spread
