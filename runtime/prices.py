"""Prices for searches from a cost table."""

from __future__ import annotations

from spikec.compiler.errors import OptionError
from spikec.compiler.search.prices import Prices
from spikec.runtime.cost_tables import TABLES, CostTable, EstimateRecipe, load_cost_table
from spikec.runtime.operations import Operation

_FIELDS = {
    Operation.UNARY: "unary",
    Operation.GRADED: "graded",
    Operation.ANALOG_EVENTS: "analog",
    Operation.ANALOG_EVENTS_ONCE: "analog_once",
    Operation.FIRST_LAYER_MACS: "first_layer",
    Operation.FIRST_LAYER_MACS_EVERY_STEP: "first_layer_steps",
    Operation.NEURON_UPDATES: "update",
    Operation.ACTIVE_UPDATES: "active",
    Operation.IDLE_UPDATES: "idle",
}
"""What an operation is called among prices; multiply-accumulates of the dense network have none."""


def prices_of(profile: str) -> Prices:
    """The prices of a profile.

    Args:
        profile: Name or path of a cost table, which means its first estimate of a spiking network;
            or "table: estimate", with the name of one of them.

    Raises:
        InputError: There is no such table.
        OptionError: The table has no such estimate of a spiking network.
    """
    name, _, estimate = profile.partition(": ")
    table = load_cost_table(name)
    recipe = _recipe(table, estimate)
    prices = dict.fromkeys(_FIELDS.values(), 0.0)
    for term in recipe.terms:
        if term.operation in _FIELDS and term.figure is not None:
            prices[_FIELDS[term.operation]] += term.figure.picojoules
    return Prices(f"{table.name}: {recipe.name}", **prices)


def _recipe(table: CostTable, estimate: str) -> EstimateRecipe:
    spiking = {recipe.name: recipe for recipe in table.estimates if recipe.network == "snn"}
    if estimate in spiking:
        return spiking[estimate]
    if estimate or not spiking:
        raise OptionError(
            f"cost table '{table.name}' has no estimate '{estimate}' of a spiking network",
            hint=f"its estimates are {'; '.join(spiking) or 'none'}; tables: {', '.join(TABLES)}",
        )
    return next(iter(spiking.values()))
