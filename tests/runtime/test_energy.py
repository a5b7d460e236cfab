from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.connections import Connection, Conv, Gather, Identity, SumPool
from spikec.compiler.errors import InputError
from spikec.compiler.macs import connection_macs
from spikec.compiler.populations import AdaFire, Fire, Input, MaxPool, Readout
from spikec.compiler.program import Program
from spikec.runtime.cost_tables import TABLES, load_cost_table
from spikec.runtime.counts import LayerCounts
from spikec.runtime.energy import EnergyProfile, energy_profiles
from spikec.runtime.operations import activation_bits
from spikec.runtime.report import energy_dict
from spikec.runtime.tables import estimate_header, estimate_rows, left_out, term_rows

IMAGES, T = 2, 4

GOOD_TABLE = """
title = "t"
process = "p"
left_out = ["memory"]
[figures.op]
value = 2
unit = "nJ"
kind = "measured"
source = "s"
[[estimates]]
name = "e"
network = "snn"
terms = [{ name = "ops", count = "graded", figure = "op" }, { name = "x", missing = "y" }]
"""


def counts(name: str, kind: str, neurons: int, **sums: int) -> LayerCounts:
    """Summed counts of IMAGES images; every sum is spread over T steps, all of it in step 1."""
    rows = {
        field: np.array([[sums.get(field, 0)] + [0] * (T - 1)])
        for field in (
            *("events", "spikes", "saturations", "graded", "unary", "graded_zero"),
            *("unary_zero", "analog", "analog_zero"),
        )
    }
    return LayerCounts(name, kind, neurons, IMAGES, **rows)


LAYERS = (
    counts("pixels", "input", 3, events=24, spikes=2000),
    replace(
        counts("hidden", "adafire", 4, events=10, spikes=16), analog=np.array([[24, 24, 24, 24]])
    ),
    counts("scores", "readout", 2, graded=20, unary=32),
)


def profile(program: Program, table: str) -> EnergyProfile:
    (found,) = energy_profiles(program, LAYERS, [load_cost_table(table)])
    return found


def total(program: Program, table: str, name: str) -> float:
    return profile(program, table).estimate(name).total_pj


def test_macs_of_a_dense_program_are_its_weights(program: Program) -> None:
    assert [connection_macs(program, c) for c in program.connections] == [12, 8]


def test_the_floating_point_convention_is_accumulates_and_an_analog_first_layer(
    program: Program,
) -> None:
    unary = 32 / IMAGES
    every = 0.9 * unary + 4.6 * 12 * T
    assert total(program, "cmos45_fp32", "SNN, first layer every step") == pytest.approx(every)
    once = 0.9 * unary + 4.6 * 12
    assert total(program, "cmos45_fp32", "SNN, first layer once") == pytest.approx(once)
    assert total(program, "cmos45_fp32", "ANN, fp32") == pytest.approx(4.6 * 20)


def test_the_integer_comparison_counts_input_events_and_neuron_updates(program: Program) -> None:
    updates = 0.3 * (4 + 2) * T
    analog = 0.3 * 96 / IMAGES
    unary = total(program, "cmos45_int8", "SNN, unary")
    assert unary == pytest.approx(0.1 * 32 / IMAGES + analog + updates)
    graded = total(program, "cmos45_int8", "SNN, graded")
    assert graded == pytest.approx(0.3 * 20 / IMAGES + analog + updates)
    once = total(program, "cmos45_int8", "SNN, graded, first layer once")
    assert once == pytest.approx(0.3 * 20 / IMAGES + 0.3 * 24 / IMAGES + updates)
    assert total(program, "cmos45_int8", "ANN, int8") == pytest.approx(0.3 * 20)


def test_the_matched_ann_has_as_many_bits_as_the_spike_count(program: Program) -> None:
    # φT + 1 = 13 levels: 4 bits; the first layer reads 8-bit pixels.
    assert activation_bits(program, "hidden") == 4
    matched = 12 * (0.2 * 8 / 8 + 0.1) + 8 * (0.2 * 4 / 8 + 0.1)
    name = "ANN, as many bits as the spike count"
    assert total(program, "cmos45_int8", name) == pytest.approx(matched)


@pytest.mark.parametrize(
    ("timesteps", "phi", "fire", "bits"),
    [
        (1, 1, Fire.PLAIN, 1),
        (4, 4, Fire.PLAIN, 5),
        (5, 3, Fire.PLAIN, 4),
        (2, 15, Fire.RETRACT, 5),
        (4, 4, Fire.SIGNED, 6),
    ],
)
def test_bits_are_the_logarithm_of_the_levels(
    make_program: Callable[..., Program], timesteps: int, phi: int, fire: Fire, bits: int
) -> None:
    program = make_program(timesteps, phi)
    pixels, hidden, scores = program.populations
    assert isinstance(hidden, AdaFire)
    program = replace(program, populations=(pixels, replace(hidden, fire=fire), scores))
    assert activation_bits(program, "hidden") == bits
    levels = phi * timesteps * (2 if fire is Fire.SIGNED else 1) + 1
    assert 2 ** (bits - 1) < levels <= 2**bits


def test_loihi_counts_operations_and_both_kinds_of_update(program: Program) -> None:
    operations = 23.6 * (32 + 96) / IMAGES
    fired, updates = 10 / IMAGES, 6 * T
    active = total(program, "loihi1_2018", "SNN, active = fired")
    assert active == pytest.approx(operations + 81 * fired + 52 * (updates - fired))
    bound = total(program, "loihi1_2018", "SNN, every update active")
    assert bound == pytest.approx(operations + 81 * updates)


def test_a_term_without_a_figure_says_so_and_is_not_zero(program: Program) -> None:
    loihi = profile(program, "loihi1_2018")
    estimate = loihi.estimate("SNN, active = fired")
    assert estimate.terms[-1].picojoules is None
    assert not estimate.complete
    rows = [row for row in term_rows(loihi) if row[1] == "spike transport"]
    assert rows
    assert all(row[3] == "no figure" for row in rows)
    (total_row,) = (row for row in estimate_rows(loihi) if row[0] == estimate.name)
    assert total_row[1].endswith(" +")
    assert left_out(loihi)[0] == "+ without spike transport (hops need a placement on cores)"


@pytest.mark.parametrize("table", TABLES)
def test_every_total_is_an_estimate_and_says_what_is_left_out(program: Program, table: str) -> None:
    found = profile(program, table)
    totals = [row for row in term_rows(found) if row[1].startswith("total")]
    assert len(totals) == len(found.estimates)
    assert all("estimate" in row[1] for row in totals)
    assert "static" in left_out(found)[-1]
    assert energy_dict(found)["status"] == "estimate"
    assert any("static" in text for text in found.table.left_out)
    assert all(figure.source for figure in found.table.figures.values())


@pytest.mark.parametrize("table", TABLES)
def test_layers_add_up_to_the_total(program: Program, table: str) -> None:
    for estimate in profile(program, table).estimates:
        assert sum(energy for _, energy in estimate.layers) == pytest.approx(estimate.total_pj)
        terms = [term.picojoules or 0.0 for term in estimate.terms]
        assert sum(terms) == pytest.approx(estimate.total_pj)


def test_ratios_compare_every_snn_with_every_ann(program: Program) -> None:
    ratios = profile(program, "cmos45_int8").ratios()
    assert len(ratios) == 3 * 2
    assert not profile(program, "loihi1_2018").ratios()  # another technology is no yardstick
    assert all(ratio == pytest.approx(s.total_pj / a.total_pj) for s, a, ratio in ratios)


def test_a_row_of_an_estimate_holds_its_ratio_to_every_ann(program: Program) -> None:
    found = profile(program, "cmos45_int8")
    header, rows = estimate_header(found), estimate_rows(found)
    assert header[2:] == ("÷ ANN, int8", "÷ ANN, as many bits as the spike count")
    snn = total(program, "cmos45_int8", "SNN, unary")
    ratio = snn / total(program, "cmos45_int8", "ANN, int8")
    assert rows[0][0] == "SNN, unary"
    assert float(rows[0][2]) == pytest.approx(ratio, rel=5e-3)
    assert rows[-1][2:] == ("", "")


def test_macs_of_pooled_grouped_and_residual_paths_are_those_of_the_ann() -> None:
    ones = np.ones((1, 1, 1))
    grouped = Conv(np.ones((4, 1, 3, 3), np.int8), (1, 1), (1, 1, 1, 1), (1, 1), groups=2)
    twice = Gather(np.arange(36, dtype=np.int32).reshape(4, 3, 3) % 18)
    program = Program(
        populations=(
            Input("pixels", (2, 6, 6), 8, ones, ones, 0 * ones),
            MaxPool("pool", (2, 3, 3), (2, 6, 6), (2, 2), (2, 2), (0,) * 4, (1, 1), ones),
            Readout("out", (4, 3, 3), np.zeros((1, 1, 1), np.int32), ones),
        ),
        connections=(
            Connection("pixels", "pool", ()),
            Connection("pixels", "out", (SumPool((2, 2), (2, 2), (0,) * 4, (1, 1)), grouped)),
            Connection("pool", "out", (twice, Identity(np.ones(4, np.int8)))),
        ),
        timesteps=2,
    )  # fmt: skip
    # A 3×3 kernel padded by 1 on a 3×3 map meets 49 of its 81 cells; one input channel per group.
    assert [connection_macs(program, c) for c in program.connections] == [0, 4 * 49, 0]
    assert activation_bits(program, "pool") == 8


def test_a_table_of_the_user_is_read_with_its_units(tmp_path: Path, program: Program) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD_TABLE)
    (found,) = energy_profiles(program, LAYERS, [load_cost_table(file)])
    assert found.table.name == "mine"
    assert found.estimates[0].total_pj == pytest.approx(2000 * 20 / IMAGES)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('unit = "nJ"', 'unit = "W"', "figures.op.unit"),
        ('unit = "nJ"', "", "figures.op.unit"),
        ("value = 2", "value = -2", "figures.op.value"),
        ("value = 2", 'value = "2"', "figures.op.value"),
        ("value = 2", "value = nan", "figures.op.value"),
        ("value = 2", "valeu = 2", "figures.op.valeu"),
        ('kind = "measured"', 'kind = "guessed"', "figures.op.kind"),
        ('source = "s"', 'source = ""', "figures.op.source"),
        ('network = "snn"', 'network = "cnn"', "estimates[0].network"),
        ('count = "graded"', 'count = "flops"', "estimates[0].terms[0].count"),
        ('figure = "op"', 'figure = "no"', "estimates[0].terms[0].figure"),
        ('missing = "y"', "", "estimates[0].terms[1].missing"),
        ('count = "graded", ', "", "estimates[0].terms[0].count"),
        ("value = 2", "value = 2\nper_activation_bit = 1", "estimates[0].terms[0].figure"),
        ('left_out = ["memory"]', "left_out = []", "left_out"),
        ('left_out = ["memory"]', "left_out = [3]", "left_out[0]"),
        ("[[estimates]]", "[estimates]", "estimates"),
        ('title = "t"', "", "title"),
    ],
)
def test_a_wrong_table_is_refused_by_file_and_key(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD_TABLE.replace(old, new).replace(', { name = "x",  }', ', { name = "x" }'))
    with pytest.raises(InputError) as caught:
        load_cost_table(file)
    assert (caught.value.where.file, caught.value.where.node) == (str(file), key)


def test_a_table_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    text, binary = tmp_path / "a.toml", tmp_path / "b.toml"
    text.write_text("a = = 1")
    binary.write_bytes(b"\xff\xfe\x00")
    for file in (text, binary, tmp_path / "absent.toml", tmp_path):
        with pytest.raises(InputError) as caught:
            load_cost_table(file)
        assert caught.value.where.file == str(file)
