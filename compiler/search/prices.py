"""Prices: what an operation costs, and the energy of what a run counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.compiler.macs import connection_macs
from spikec.compiler.populations import AdaFire, Input, MaxPool
from spikec.compiler.program import Program
from spikec.compiler.simulation import Totals

_PICOJOULES = 1e12


@dataclass(frozen=True)
class Prices:
    """Energy per operation in pJ; 0 where a cost table counts nothing.

    Attributes:
        name: Of the cost table and the way of counting.
        unary: Per spike and synapse: one accumulate.
        graded: Per event and synapse: one multiply-accumulate of weight × payload.
        analog: Per input payload and synapse, every step.
        analog_once: The same, in the first step only.
        first_layer: Per multiply-accumulate of the dense layers that read the input, once.
        first_layer_steps: The same, every step.
        update: Per neuron and step.
        active: Per neuron and step in which it fires.
        idle: Per neuron and step in which it does not.
    """

    name: str = "accumulates"
    unary: float = 1.0
    graded: float = 0.0
    analog: float = 0.0
    analog_once: float = 0.0
    first_layer: float = 0.0
    first_layer_steps: float = 0.0
    update: float = 0.0
    active: float = 0.0
    idle: float = 0.0

    def energy(self, program: Program, totals: Totals) -> float:
        """Energy of one image in J.

        Args:
            program: That was run.
            totals: Its counts over all images.
        """
        picojoules = self._synapses(program, totals) + self._neurons(program, totals)
        return picojoules / totals.images / _PICOJOULES

    def _synapses(self, program: Program, totals: Totals) -> float:
        source, steps = program.input.name, program.timesteps
        energy = 0.0
        for connection, events, spikes in zip(
            program.connections, totals.synaptic_events, totals.synaptic_spikes, strict=True
        ):
            if connection.source != source:
                energy += self.unary * int(spikes) + self.graded * int(events)
                continue
            energy += (self.analog + self.analog_once / steps) * int(events)
            dense = self.first_layer + self.first_layer_steps * steps
            if dense:
                energy += dense * totals.images * connection_macs(program, connection)
        return energy

    def _neurons(self, program: Program, totals: Totals) -> float:
        updates = active = 0
        for population, events in zip(program.populations, totals.events, strict=True):
            if isinstance(population, Input):
                continue
            updates += int(np.prod(population.shape)) * program.timesteps * totals.images
            if isinstance(population, AdaFire | MaxPool):
                active += int(events)
        return self.update * updates + self.active * active + self.idle * (updates - active)


NO_PRICES = Prices()
"""Accumulates alone, 1 pJ each."""
