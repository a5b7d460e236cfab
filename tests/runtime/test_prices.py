from __future__ import annotations

import numpy as np
import pytest
from tiny_programs import tiny_program

from spikec.backends.base import totals_of
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.errors import InputError, OptionError
from spikec.compiler.program import Program
from spikec.runtime.cost_tables import TABLES, load_cost_table
from spikec.runtime.counts import layer_counts
from spikec.runtime.energy import energy_profiles
from spikec.runtime.prices import prices_of


def inputs_of(program: Program) -> np.ndarray:
    shape = (5, *program.input.shape)
    return np.random.default_rng(0).integers(-100, 100, shape, np.int16)


@pytest.mark.parametrize(
    ("table", "estimate"),
    [(t, e.name) for t in TABLES for e in load_cost_table(t).estimates if e.network == "snn"],
)
def test_a_search_pays_what_the_energy_report_says(
    program: Program, table: str, estimate: str
) -> None:
    prices, costs = prices_of(f"{table}: {estimate}"), load_cost_table(table)
    for each in (program, tiny_program()):
        run = ReferenceBackend().run(each, inputs_of(each))
        layers = [layer.summed() for layer in layer_counts(each, run)]
        (profile,) = energy_profiles(each, layers, [costs])
        found = prices.energy(each, totals_of(each, run))
        assert found * 1e12 == pytest.approx(profile.estimate(estimate).total_pj, rel=1e-12)


def test_a_table_alone_means_its_first_estimate_of_a_spiking_network() -> None:
    prices = prices_of("cmos45_int8")
    assert prices == prices_of("cmos45_int8: SNN, unary")
    assert (prices.unary, prices.graded) == (pytest.approx(0.1), 0.0)


def test_an_estimate_that_the_table_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(OptionError) as caught:
        prices_of("cmos45_int8: ANN, int8")
    assert "SNN, graded" in caught.value.hint


def test_a_table_that_is_missing_is_refused() -> None:
    with pytest.raises(InputError, match="no_such_table"):
        prices_of("no_such_table")
