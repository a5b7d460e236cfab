"""The tables and the picture of accuracy show what was measured."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from onnx_models import small_cnn

import spikec
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.connections import Conv
from spikec.compiler.pipelines import chosen_options
from spikec.compiler.populations import AdaFire

MODELS = Path(__file__).resolve().parents[1] / "models"
sys.path.append(str(MODELS / "benchmarks"))

import accuracy  # noqa: E402
from accuracy_lines import panels, title  # noqa: E402
from networks import GREY, Images  # noqa: E402
from records import append, finished  # noqa: E402
from settings import Setting, is_quantised_ann  # noqa: E402
from tables import Cell, detail_table, grouped, loss_table, spread  # noqa: E402

CELL = Cell(
    *("net", "T=8,phi=1", 0, 500, 0, 0.86, 0.9, 0.95, 41500.0, 2e6, 2e6, 7.0, 0.5, "digest"),
    *(8.0, 1.0, 0.25, 0.75, 3.0, 1.5, 40960),
)
ANN = replace(CELL, setting="ANN 9 levels", accuracy=0.89, mean_timesteps=1.0, mean_phi=8.0)
CELLS = (
    CELL,
    replace(CELL, seed=1, accuracy=0.88, energy_unary=0.35),
    replace(CELL, setting="T=16,phi=1", accuracy=0.9, mean_timesteps=16.0),
    replace(CELL, setting="fire=retract,T=4,phi=2", accuracy=0.87, mean_timesteps=3.5),
    replace(ANN, energy_matched_ann=1.25),
)
NEW = ("mean_timesteps", "mean_phi")
NEW += ("energy_unary", "energy_graded", "energy_ann", "energy_matched_ann", "neurons")


def test_a_setting_is_read_as_it_is_written() -> None:
    setting = Setting.parse(
        "T=4,weights=fit,windowed,modes=plain+windowed,accuracy_loss=1.5,reuse_silent=no"
    )
    assert dict(setting.options) == {
        **{"phi": 1, "timesteps": 4, "weight_calibration": "fit", "windowed": True},
        **{"modes": ("plain", "windowed"), "accuracy_loss": 1.5, "reuse_silent": False},
    }


@pytest.mark.parametrize("text", ["phi=4", "T=", "T=4,,phi=4", "T=four"])
def test_a_setting_without_t_or_a_value_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        Setting.parse(text)


@pytest.mark.parametrize(
    ("text", "title", "phi"),
    [
        ("T=32", "ANN 33 levels", 32),
        ("T=4,phi=8,fire=retract,pipeline=best", "ANN 33 levels", 32),
        ("T=32,phi=8", "ANN 256 levels", 255),
        ("T=2,phi=3,search_phi,phi_max=5", "ANN 11 levels", 10),
        ("T=2,phi=3,weight_bits=4,input_bits=8", "ANN 7 levels,weight_bits=4", 6),
    ],
)
def test_a_quantised_ann_tells_as_many_levels_as_a_neuron_has_spike_counts(
    text: str, title: str, phi: int
) -> None:
    setting = Setting.parse(text).quantised_ann
    assert setting.text == title
    assert is_quantised_ann(title)
    assert not is_quantised_ann(text)
    options = chosen_options("light", dict(setting.options))
    assert (options.timesteps, options.phi, options.windowed) == (1, phi, True)
    assert options.weight_bits == (4 if "weight_bits=4" in text else 8)


def test_quantised_anns_stand_behind_the_settings_once_for_each_phi_t() -> None:
    settings = [Setting.parse(text) for text in ("T=8", "T=4,phi=2", "T=8,windowed", "T=4")]
    measured = accuracy.columns(settings, quantised_ann=True)
    assert list(measured[:4]) == settings
    assert [str(setting) for setting in measured[4:]] == ["ANN 9 levels", "ANN 5 levels"]
    assert list(accuracy.columns(settings, quantised_ann=False)) == settings


def test_the_program_of_one_step_is_an_ann_with_rounded_and_clipped_activations() -> None:
    random = np.random.default_rng(0)
    images = random.normal(size=(40, 2, 8, 8)).astype(np.float32)
    setting = Setting.parse("T=3,phi=2").quantised_ann
    program = spikec.compile(small_cnn(), images, **dict(setting.options))
    (hidden,) = (p for p in program.populations if isinstance(p, AdaFire))
    (into,) = program.into(hidden.name)
    (conv,) = into.factors
    assert isinstance(conv, Conv)
    integers = np.clip(np.rint(images[:5] / program.input.scale), -127, 127).astype(np.int64)
    before, after = np.array(conv.pads).reshape(2, 2)
    padded = np.pad(integers, ((0, 0), (0, 0), *zip(before, after, strict=True)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    current = np.einsum("ncyxij,ocij->noyx", windows, conv.weights.astype(np.int64))
    charge = (current << into.exponent) + hidden.bias + hidden.initial
    levels = np.clip(np.floor_divide(charge, hidden.threshold), 0, 6)
    run = ReferenceBackend().run(program, integers, record=frozenset({hidden.name}))
    assert {0, 6} <= set(np.unique(levels))
    assert np.array_equal(run.spikes[hidden.name][:, 0], levels)


def one_layer_fan_out(pixels: np.ndarray) -> int:
    """Products of non-zero inputs with 32 padded filters of 3×3, counted output by output.

    Inputs are 8 bits, sign included: white is 127, and 1 of 255 rounds to 0.
    """
    padded = np.pad(np.rint(pixels * (127 / 255)) != 0, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return 32 * int(windows.sum())


def test_a_cell_holds_the_energies_of_counted_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    source = (Images("demo_images.npz"), GREY)
    monkeypatch.setattr(accuracy, "NETWORKS", {"fashion_avgpool": source})
    setting = Setting.parse("T=3,phi=2,pipeline=none")
    cell = accuracy.measure(accuracy.Task("fashion_avgpool", setting, 0, 10, 16), MODELS)
    _, test, labels = source[0].read(MODELS)
    pixels = 3 * one_layer_fan_out(test[:10]) / 10
    updates = 3 * (28 * 28 * 32 + 2 * 14 * 14 * 64 + 7 * 7 * 64 + 64 + 10)
    common = 0.3 * (pixels + updates)
    assert cell.energy_unary == pytest.approx((0.1 * cell.synops_unary + common) / 1e6)
    assert cell.energy_graded == pytest.approx((0.3 * cell.synops + common) / 1e6)
    assert cell.synops < cell.synops_unary < 2 * cell.synops
    first, half, quarter = ((3 * side - 2) ** 2 for side in (28, 14, 7))  # taps inside the image
    first *= 32
    later = half * 64 * (32 + 64) + quarter * 64 * 64 + 576 * 64 + 64 * 10
    assert cell.energy_ann == pytest.approx(0.3 * (first + later) / 1e6)
    three_bits = 0.1 + 3 * 0.025
    assert cell.energy_matched_ann == pytest.approx((0.3 * first + three_bits * later) / 1e6)
    assert (cell.mean_timesteps, cell.mean_phi, cell.images) == (3.0, 2.0, len(labels[:10]))
    assert cell.neurons == 28 * 28 * 32 + 2 * 14 * 14 * 64 + 7 * 7 * 64 + 64


def test_cells_of_earlier_versions_are_read_and_their_columns_stay_empty(tmp_path: Path) -> None:
    file = tmp_path / "cells.jsonl"
    old = {name: value for name, value in asdict(CELL).items() if name not in NEW}
    file.write_text(json.dumps(old) + "\n", encoding="utf-8")
    append(CELLS[1], file)
    cells = finished(file, Cell)
    assert cells[CELLS[1].key] == CELLS[1]
    (line,) = list(detail_table(grouped([cells[CELL.key]])))[2:]
    assert line == (
        "| net | T=8,phi=1 | 500 | 1 | 86.00 | 95.00 |  |  |  | 41.5 | 2.00 | 2.00 |  |  |  |  "
        "| 7.0 | 0.5 |"
    )


def test_a_row_tells_mean_t_and_phi_and_four_energies() -> None:
    head, rule, *lines = detail_table(grouped(CELLS[:2]))
    assert head.count("|") == rule.count("|") == lines[0].count("|")
    heads = "| k neurons | mean T | mean φ | spikes k | synops M | unary synops M | unary µJ"
    assert f"{heads} | graded µJ" in head
    assert lines == [
        "| net | T=8,phi=1 | 500 | 2 | 87.00 ± 1.41 | 95.00 ± 0.00 | 41.0 ± 0.0 | 8.00 ± 0.00 "
        "| 1.00 ± 0.00 | 41.5 ± 0.0 | 2.00 ± 0.00 | 2.00 ± 0.00 | 0.30 ± 0.07 | 0.75 ± 0.00 "
        "| 3.00 ± 0.00 | 1.50 ± 0.00 | 7.0 ± 0.0 | 0.5 ± 0.0 |"
    ]


def test_a_mean_over_seeds_is_told_only_if_all_are_known() -> None:
    assert spread([1.0, None]) == ""
    assert spread([1.0, 2.0], 1) == "1.5 ± 0.7"


def test_the_quantised_ann_has_a_column_of_losses() -> None:
    assert list(loss_table(grouped((*CELLS[:2], ANN)))) == [
        "| network | ANN | T=8,phi=1 | ANN 9 levels |",
        "| --- | --- | --- | --- |",
        "| net | 90.00% | 3.00 ± 1.41 | 1.00 |",
    ]


def test_lines_join_settings_that_differ_in_t_alone() -> None:
    (panel,) = panels(reversed(CELLS))
    assert (panel.network, panel.images, panel.ann_energy) == ("net", 500, 3.0)
    assert panel.ann_accuracy == pytest.approx(90)
    plain, retract = panel.programs["φ=1, plain"], panel.programs["φ=2, retract"]
    assert [point.timesteps for point in plain] == [8, 16]
    assert [point.timesteps for point in retract] == [3.5]
    lost = plain[0].loss
    assert (lost.mean, lost.low, lost.high) == pytest.approx((3, 2, 4))
    assert plain[0].energy == pytest.approx((0.25 + 0.35) / 2)


def test_a_quantised_ann_stands_at_the_t_of_every_program_that_it_matches() -> None:
    (panel,) = panels(CELLS)
    assert set(panel.quantised) == {"ANN, φT + 1 levels, φ=1", "ANN, φT + 1 levels, φ=2"}
    (point,) = panel.quantised["ANN, φT + 1 levels, φ=1"]
    assert (point.timesteps, point.energy) == (8, 1.25)
    assert point.loss.mean == pytest.approx(1)
    (point,) = panel.quantised["ANN, φT + 1 levels, φ=2"]
    assert point.timesteps == 4


def test_programs_that_end_after_equally_many_steps_are_two_points() -> None:
    settings = ("T=8,exit_loss=1", "T=16,exit_loss=1")
    (panel,) = panels(replace(CELL, setting=text, mean_timesteps=2.5) for text in settings)
    assert [p.timesteps for p in panel.programs["φ=1, plain, exit_loss=1"]] == [2.5, 2.5]


def test_numbers_of_images_do_not_mix() -> None:
    cells = (CELL, replace(CELL, images=100), replace(CELL, calibration_images=512))
    first, second = panels(cells)
    assert (first.images, second.images) == (500, 100)
    assert list(first.programs) == ["φ=1, plain", "φ=1, plain, 512 calibration images"]


def test_points_of_unknown_energy_are_drawn_over_t_alone() -> None:
    old = replace(CELL, **dict.fromkeys(NEW))
    (panel,) = panels([old, replace(CELL, seed=1)])
    (point,) = panel.programs["φ=1, plain"]
    assert (point.timesteps, point.energy) == (8, None)


def test_a_title_says_all_but_t() -> None:
    written = "T=8,windowed,phi=4,weights=fit,compress"
    assert title(Setting.parse(written)) == "φ=4, windowed, compress, weight_calibration=fit"
    assert title(Setting.parse("T=8,modes=plain+retract")) == "φ=1, plain or retract"


@pytest.mark.parametrize("cells", [CELLS, [replace(CELL, **dict.fromkeys(NEW))]])
def test_the_plot_is_a_picture(cells: list[Cell], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from accuracy_plot import plot

    plot(panels(cells), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("ends", "ticks"),
    [((1.2, 5.4), [2, 3, 5]), ((0.4, 11), [0.5, 1, 2, 5, 10]), ((2, 900), [10, 100])],
)
def test_ticks_of_energy_are_round(ends: tuple[float, float], ticks: list[float]) -> None:
    from accuracy_plot import round_values

    assert round_values(*ends) == pytest.approx(ticks)
