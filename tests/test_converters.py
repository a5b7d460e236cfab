"""The comparison with other converters measures what it says."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest

import spikec
from spikec.compiler.options import CompileOptions
from spikec.compiler.pipelines import chosen_options

MODELS = Path(__file__).resolve().parents[1] / "models"
BENCHMARKS = MODELS / "benchmarks"
sys.path.append(str(BENCHMARKS))

import converters  # noqa: E402
from converter_tables import Conversion, detail_table, grouped, loss_table  # noqa: E402
from networks import GREY, Images  # noqa: E402
from records import append, finished  # noqa: E402

CELL = Conversion("net", "sinabs-max", 8, 0, 500, 256, 0.75, 0.9, 0.8, 41500.0, 41500.0, 7.0)
CELLS = (
    CELL,
    replace(CELL, seed=1, accuracy=0.77, agreement=0.84, spikes=41900.0),
    replace(CELL, timesteps=32, accuracy=0.9, agreement=1.0),
    replace(CELL, converter="spikec-graded", timesteps=32, accuracy=0.91, events=20750.0),
)
FASHION = MODELS / "networks" / "fashion_avgpool.onnx"
DEMO = (Images("demo_images.npz"), GREY)


def test_points_lost_stand_in_a_row_per_converter_and_a_column_per_t() -> None:
    assert list(loss_table(grouped(CELLS))) == [
        "| network | ANN | converter | T=8 | T=32 |",
        "| --- | --- | --- | --- | --- |",
        "| net | 90.00% | sinabs-max | 14.00 ± 1.41 | 0.00 |",
        "| net | 90.00% | spikec-graded |  | -1.00 |",
    ]


def test_converters_of_one_t_stand_together() -> None:
    table = list(detail_table(grouped(reversed(CELLS))))
    assert table[0].endswith(
        "| images | seeds | accuracy % | agreement % | spikes k | events k | convert s |"
    )
    assert table[2:] == [
        "| net | 8 | sinabs-max | 500 | 2 | 76.00 ± 1.41 | 82.00 ± 2.83 | 41.7 ± 0.3 "
        "| 41.5 ± 0.0 | 7.0 ± 0.0 |",
        "| net | 32 | spikec-graded | 500 | 1 | 91.00 | 80.00 | 41.5 | 20.8 | 7.0 |",
        "| net | 32 | sinabs-max | 500 | 1 | 90.00 | 100.00 | 41.5 | 41.5 | 7.0 |",
    ]


def test_cells_of_earlier_versions_are_read_without_events_and_seconds(tmp_path: Path) -> None:
    old = asdict(CELL)
    del old["events"], old["convert_seconds"]
    file = tmp_path / "cells.jsonl"
    file.write_text(json.dumps(old) + "\n", encoding="utf-8")
    cells = finished(file, Conversion)
    assert cells == {CELL.key: replace(CELL, events=None, convert_seconds=None)}
    assert list(detail_table(grouped(cells.values())))[2].endswith("| 80.00 | 41.5 |  |  |")


def test_finished_cells_are_read_again_and_a_cut_off_line_is_not(tmp_path: Path) -> None:
    file = tmp_path / "cells.jsonl"
    append(CELLS[0], file)
    file.write_text(file.read_text() + json.dumps(asdict(CELLS[1]))[:40])
    append(CELLS[2], file)
    assert finished(file, Conversion) == {cell.key: cell for cell in (CELLS[0], CELLS[2])}


def test_finished_tasks_are_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cells.jsonl"
    for cell in CELLS:
        append(cell, file)
    asked: list[converters.Task] = []

    def measured(task: converters.Task, folder: Path) -> list[Conversion]:
        asked.append(task)
        return [replace(CELL, seed=2, timesteps=steps) for steps in task.timesteps]

    monkeypatch.setattr(converters, "measure", measured)
    tasks = [converters.Task("net", "sinabs-max", (8, 32), seed, 500, 256) for seed in (0, 2)]
    for _ in range(2):
        cells = list(converters.cells_of(tasks, tmp_path, file))
        assert [(c.seed, c.timesteps) for c in cells] == [(0, 8), (0, 32), (2, 8), (2, 32)]
    assert asked == tasks[1:]


def test_the_command_line_takes_names_and_counts() -> None:
    options = converters.parser().parse_args(
        ["--data", "x", "--network", "fashion_avgpool", "--timesteps", "4", "16"]
    )
    assert (options.network, options.timesteps) == (["fashion_avgpool"], [4, 16])
    assert set(converters.CONVERTERS) - set(options.converter) == {"spikec-best"}  # minutes each
    assert set(options.converter) < set(converters.CONVERTERS)


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("spikec-plain", {}),
        ("spikec-retract", {"fire": "retract"}),
        ("spikec-windowed", {"windowed": True}),
        ("spikec-graded", {"phi": 4}),
        ("spikec-best", {"weight_calibration": "gradient", "reuse_silent": True}),
    ],
)
def test_a_program_of_ours_is_compiled_as_it_is_named(
    name: str, chosen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[CompileOptions] = []

    def compiled(model: Path, images: np.ndarray, *, pipeline: str, **given: object) -> Never:
        del given["preprocessing"]
        asked.append(chosen_options(pipeline, given))
        raise KeyboardInterrupt

    monkeypatch.setattr(converters.spikec, "compile", compiled)
    monkeypatch.setattr(converters, "NETWORKS", {"fashion_avgpool": DEMO})
    task = converters.Task("fashion_avgpool", name, (6,), 3, 10, 16)
    with pytest.raises(KeyboardInterrupt):
        list(converters.measure(task, MODELS))
    wanted = {"timesteps": 6, "phi": 1, "seed": 3, "calibration_images": 16} | chosen
    assert asked == [CompileOptions(**wanted)]


def test_a_graded_spike_is_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converters, "NETWORKS", {"fashion_avgpool": DEMO})
    monkeypatch.setitem(converters.OURS, "spikec-graded", {"phi": 4, "pipeline": "none"})
    task = converters.Task("fashion_avgpool", "spikec-graded", (2,), 0, 5, 16)
    (cell,) = converters.measure(task, MODELS)
    calibration, test, _ = DEMO[0].read(MODELS)
    program = spikec.compile(
        FASHION,
        calibration,
        **{"timesteps": 2, "phi": 4, "pipeline": "none", "preprocessing": DEMO[1]},
        calibration_images=16,
    )
    firing = {p.name for p in program.populations if p.name != program.input.name}
    spikes = spikec.run(program, test[:5], record=firing - {program.readout.name}).spikes
    assert cell.spikes == pytest.approx(sum(int(abs(n).sum()) for n in spikes.values()) / 5)
    assert cell.events == pytest.approx(sum(np.count_nonzero(n) for n in spikes.values()) / 5)
    assert 0 < cell.events < cell.spikes


@pytest.mark.parametrize(
    "wrong", [("--converter", "snntoolbox"), ("--timesteps", "0"), ("--network", "lenet")]
)
def test_other_names_and_counts_are_refused(wrong: tuple[str, str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        converters.parser().parse_args(["--data", "x", *wrong])


def test_the_twin_computes_what_the_file_does() -> None:
    torch = pytest.importorskip("torch")
    from torch_twin import TwinError, check_twin, torch_twin

    from spikec.compiler.ann import run_model
    from spikec.compiler.frontend.load import load_graph

    inputs = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    twin, logits = torch_twin(load_graph(FASHION)), run_model(FASHION, inputs)
    check_twin(twin, torch.from_numpy(inputs), logits)
    with pytest.raises(TwinError):
        check_twin(twin, torch.from_numpy(inputs), logits + 0.1)


@pytest.mark.parametrize("name", [n for n in converters.CONVERTERS if n not in converters.OURS])
def test_a_longer_run_begins_like_a_shorter_one_and_spikes_are_counted(name: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip(name.split("-")[0])
    from conversions import LIBRARIES
    from torch_twin import torch_twin

    from spikec.compiler.frontend.load import load_graph

    inputs = torch.from_numpy(np.random.default_rng(0).random((5, 1, 28, 28), np.float32))
    network = LIBRARIES[name](torch_twin(load_graph(FASHION)), inputs)
    logits, spikes = network.run(inputs, 6, batch=2)
    shorter, fewer = network.run(inputs, 3, batch=5)
    assert logits.shape == (5, 6, 10)
    assert shorter == pytest.approx(logits[:, :3], abs=1e-3)
    assert np.array_equal(fewer, spikes[:, :3])
    neurons = 28 * 28 * 32 + 2 * 14 * 14 * 64 + 7 * 7 * 64 + 64
    assert (np.diff(spikes, axis=1) >= 0).all()
    assert 0 < spikes[:, -1].max() <= 6 * neurons


@pytest.mark.parametrize("name", ["sinabs-99", "sinabs-max"])
def test_scales_around_relus_change_nothing(name: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("sinabs")
    from conversions import LIBRARIES
    from torch_twin import torch_twin

    from spikec.compiler.frontend.load import load_graph

    inputs = torch.from_numpy(np.random.default_rng(0).random((2, 1, 28, 28), np.float32))
    twin = torch_twin(load_graph(FASHION))
    network = LIBRARIES[name](twin, inputs)
    with torch.no_grad():
        expected = twin(inputs).numpy()
        assert network.normalised(inputs).numpy() == pytest.approx(expected, abs=1e-4)
