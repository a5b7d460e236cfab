"""Energy estimates: counted operations × a cost table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spikec.compiler.program import Program
from spikec.runtime.cost_tables import TABLES, CostTable, EstimateRecipe, Term, load_cost_table
from spikec.runtime.counts import LayerCounts
from spikec.runtime.operations import LayerOperations, Operation, layer_operations


@dataclass(frozen=True)
class TermEnergy:
    """One summand of an estimate, per image.

    Attributes:
        term: What is counted and what it costs.
        operations: Number per image; None where nothing is counted.
        picojoules: None where the table has no figure: unknown, not 0.
    """

    term: Term
    operations: float | None
    picojoules: float | None


@dataclass(frozen=True)
class Estimate:
    """Energy of one inference by one way of counting; an estimate, of the listed terms alone.

    Attributes:
        name: Way of counting.
        network: "snn", "ann" or "orientation".
        terms: Summands over all layers.
        layers: Name of each layer and its energy in pJ, over the terms with a figure.
        total_pj: Sum of the terms with a figure.
    """

    name: str
    network: str
    terms: tuple[TermEnergy, ...]
    layers: tuple[tuple[str, float], ...]
    total_pj: float

    @property
    def complete(self) -> bool:
        """Whether every term has a figure."""
        return all(term.picojoules is not None for term in self.terms)


@dataclass(frozen=True)
class EnergyProfile:
    """All estimates by one cost table.

    Attributes:
        table: The table, with the source and kind of every figure.
        estimates: In the table's order.
    """

    table: CostTable
    estimates: tuple[Estimate, ...]

    def estimate(self, name: str) -> Estimate:
        """The estimate of that name; KeyError if there is none."""
        return {estimate.name: estimate for estimate in self.estimates}[name]

    def ratios(self) -> tuple[tuple[Estimate, Estimate, float], ...]:
        """(SNN, ANN, SNN energy / ANN energy) for every pair of this table."""
        snn = [e for e in self.estimates if e.network == "snn"]
        ann = [e for e in self.estimates if e.network == "ann" and e.total_pj > 0]
        return tuple((s, a, s.total_pj / a.total_pj) for s in snn for a in ann)


def energy_profiles(
    program: Program, layers: Sequence[LayerCounts], tables: Sequence[CostTable] = ()
) -> tuple[EnergyProfile, ...]:
    """Estimates by every table; those that come with spikec if none is given.

    Args:
        program: The program that was run: the dense network's operations are read off it.
        layers: Counts summed over images.
        tables: Cost tables.
    """
    chosen = tables or [load_cost_table(name) for name in TABLES]
    operations = layer_operations(program, layers)
    return tuple(
        EnergyProfile(table, tuple(_estimate(recipe, operations) for recipe in table.estimates))
        for table in chosen
    )


def _estimate(recipe: EstimateRecipe, layers: Sequence[LayerOperations]) -> Estimate:
    priced = [term for term in recipe.terms if term.figure is not None]
    per_layer = tuple(
        (layer.layer, sum(_picojoules(term, layer) for term in priced)) for layer in layers
    )
    return Estimate(
        name=recipe.name,
        network=recipe.network,
        terms=tuple(_over_layers(term, layers) for term in recipe.terms),
        layers=per_layer,
        total_pj=sum(energy for _, energy in per_layer),
    )


def _over_layers(term: Term, layers: Sequence[LayerOperations]) -> TermEnergy:
    operations = None
    if term.operation is not None:
        operations = sum(layer.numbers[term.operation] for layer in layers)
    energy = sum(_picojoules(term, layer) for layer in layers) if term.figure else None
    return TermEnergy(term, operations, energy)


def _picojoules(term: Term, layer: LayerOperations) -> float:
    figure, operation = term.figure, term.operation
    if figure is None or operation is None:
        return 0.0
    energy = layer.numbers[operation] * figure.picojoules
    if operation is Operation.ANN_MACS:
        energy += sum(macs.number * macs.bits for macs in layer.macs) * figure.picojoules_per_bit
    return energy
