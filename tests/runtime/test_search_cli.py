"""Searches from the command line and from Python: options in, findings out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import spikec
from onnx_models import small_cnn

from spikec.compiler.errors import CalibrationError, OptionError
from spikec.compiler.populations import AdaFire
from spikec.compiler.program_file import load
from spikec.compiler.search_options import SearchOptions
from spikec.runtime.compile import compile_model


def images(count: int = 48) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (count, 2, 8, 8)).astype(np.float32)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    onnx.save(small_cnn(), tmp_path / "net.onnx")
    np.save(tmp_path / "calib.npy", images())
    return tmp_path / "net.onnx", tmp_path / "calib.npy", tmp_path / "net.spikec"


def test_what_a_search_found_is_printed_and_stored(files: tuple[Path, Path, Path]) -> None:
    net, calib, output = files
    arguments = (net, "--calibration", calib, "-o", output, "-T", 4, "--images", 32)
    search = ("--search-phi", "--compress", "--accuracy-loss", 10, "--profile", "loihi1_2018")
    result = spikec("compile", *arguments, *search)
    assert result.exit_code == 0, result.output
    assert "firing search" in result.stdout
    assert "compression search" in result.stdout
    found = json.loads(load(output).provenance["search"])
    assert [each["search"] for each in found] == ["firing", "compression"]
    assert found[0]["prices"] == "loihi1_2018: SNN, active = fired"
    assert (found[0]["images"], found[0]["held_out"]) == (32, 16)
    options = json.loads(load(output).provenance["options"])
    assert (options["search_phi"], options["search_accuracy_loss"]) == (True, 10.0)
    assert "search_latency" not in options
    (hidden,) = (p for p in load(output).populations if isinstance(p, AdaFire))
    assert found[0]["layers"]["relu"]["phi"] == hidden.phi
    shown = spikec("inspect", output)
    assert f"relu φ={hidden.phi}" in shown.stdout


def test_json_output_holds_what_was_found(files: tuple[Path, Path, Path]) -> None:
    net, calib, output = files
    arguments = (net, "--calibration", calib, "-o", output, "-T", 4, "--json")
    result = spikec("compile", *arguments, "--modes", "plain,windowed", "--latency", 100)
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["search"]
    assert found["layers"]["relu"]["mode"] in ("plain", "windowed")


def test_a_mode_that_does_not_exist_is_refused(files: tuple[Path, Path, Path]) -> None:
    net, calib, output = files
    result = spikec("compile", net, "--calibration", calib, "-o", output, "--modes", "loud")
    assert result.exit_code != 0
    assert "plain, retract, windowed" in result.stderr
    assert not output.exists()


def test_an_energy_that_cannot_be_had_is_refused() -> None:
    search = SearchOptions(phi=True, energy_budget=1e-12)
    with pytest.raises(OptionError, match="the energy budget of 1e-06 µJ cannot be kept"):
        compile_model(small_cnn(), images(), timesteps=4, search=search)


def test_a_search_needs_images_to_judge_by() -> None:
    with pytest.raises(CalibrationError, match="there are 2"):
        compile_model(small_cnn(), images(2), search=SearchOptions(phi=True))


def test_images_beyond_the_calibration_images_are_held_out() -> None:
    search = SearchOptions(phi=True, energy_ratio=1.0)
    program = compile_model(
        small_cnn(), images(), timesteps=4, calibration_images=30, search=search
    )
    (found,) = json.loads(program.provenance["search"])
    assert (found["images"], found["held_out"]) == (30, 18)
    assert program.provenance["calibration_images"] == "30"


def test_equal_seeds_give_equal_programs() -> None:
    search = SearchOptions(phi=True, compression=True, modes=("plain", "retract"), energy_ratio=1.2)
    first, again = (
        compile_model(small_cnn(), images(), timesteps=4, seed=3, search=search) for _ in range(2)
    )
    assert first.digest == again.digest
