"""What spikec compile passes on, prints and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from commands import fails, spikec
from PIL import Image

from spikec.compiler.arrays import Array
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.runtime import compile as compiling


def test_compile_passes_its_options_on(
    monkeypatch: pytest.MonkeyPatch, program: Program, images_file: Path, tmp_path: Path
) -> None:
    seen: dict[str, object] = {}

    def compile_model(model: str, calibration: Array, **options: object) -> Program:
        seen.update(options, model=model, calibration=calibration.shape)
        progress = options["progress"]
        assert callable(progress)
        progress("calibrate-bias", 1, 2)
        return program

    monkeypatch.setattr(compiling, "compile_model", compile_model)
    output = tmp_path / "net.spikec"
    options = ["-T", "16", "--phi", "1", "--windowed", "--seed", "7", "--images", "12"]
    options += ["--scale", "1/2", "--mean", "0.5"]
    options += ["--thresholds", "percentile", "--threshold-percentile", "99"]
    options += ["--threshold-per", "layer", "--threshold-images", "90", "--calibrate-potentials"]
    options += ["--memory", "0.5", "--reuse-silent", "--extra-neurons", "0.25"]
    result = spikec(
        "compile", "net.onnx", "--calibration", f"{images_file}:x", "-o", output, *options, "--json"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["digest"] == program.digest
    assert output.exists()
    assert seen["calibration"] == (23, 3)
    assert seen["preprocessing"] == Preprocessing(scale=0.5, mean=(0.5,))
    expected = {"timesteps": 16, "phi": 1, "windowed": True, "seed": 7, "calibration_images": 12}
    expected |= {"threshold_images": 90, "potential_calibration": True, "memory_bytes": 2**29}
    expected |= {"reuse_silent": True, "extra_neurons": 0.25}
    assert (seen["threshold_method"], seen["threshold_percentile"]) == ("percentile", 99.0)
    assert seen["threshold_per"] == "layer"
    assert expected.items() <= seen.items()


def test_compile_says_how_many_channels_carry_copies(
    monkeypatch: pytest.MonkeyPatch, program: Program, images_file: Path, tmp_path: Path
) -> None:
    copies = {"hidden": [0, 0, 2, 0], "deep": [0, 0]}
    found = replace(program, provenance={"copies": json.dumps(copies), "added_neurons": "1024"})
    monkeypatch.setattr(compiling, "compile_model", lambda *_, **__: found)
    given = (
        "compile",
        "n.onnx",
        "--calibration",
        f"{images_file}:x",
        "-o",
        tmp_path / "net.spikec",
    )
    assert "3 in 2 populations, 1,024 neurons more" in spikec(*given).stdout
    assert json.loads(spikec(*given, "--json").stdout)["copies"] == copies
    assert json.loads(spikec(*given, "--json").stdout)["added_neurons"] == 1024


def test_of_a_folder_as_many_images_are_drawn_as_thresholds_need(
    monkeypatch: pytest.MonkeyPatch, program: Program, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(9):
        Image.new("L", (2, 2), number).save(folder / f"{number}.png")
    drawn: list[int] = []

    def compile_model(model: str, calibration: Iterable[Array], **options: object) -> Program:
        drawn[:] = [int(batch[0, 0, 0]) for batch in calibration]
        return program

    monkeypatch.setattr(compiling, "compile_model", compile_model)
    output = tmp_path / "net.spikec"
    given = ["compile", "net.onnx", "--calibration", folder, "-o", output, "--layout", "hw"]
    assert spikec(*given, "--images", 4).exit_code == 0
    assert len(drawn) == 4
    assert spikec(*given, "--images", 4, "--threshold-images", 7).exit_code == 0
    assert len(set(drawn)) == 7
    # The first four are held for all other calibration: they are drawn, not the first files.
    assert drawn != sorted(drawn)


@pytest.mark.parametrize(
    "options",
    [
        *("-T 0", "--phi 0", "--phi 256", "--fire never", "--windowed --fire retract"),
        *("--images 0", "--scale x", "--scale 1/0", "--std 0", "--layout whc", "--crop 4"),
        *("--thresholds median", "--threshold-per row", "--threshold-percentile 99"),
        *("--thresholds balancing --threshold-images 9", "--threshold-images -1"),
        *("--reuse-silent --threshold-per layer", "--extra-neurons 1 --threshold-per layer"),
        *("--extra-neurons -1", "--extra-neurons 17", "--extra-neurons nan"),
        *("--memory 0", "--memory -1", "--memory nan", "--memory inf"),
        *("--crop 0x4 --layout hwc", "--resize 1x2x3 --layout hwc", "--input-shape 3,a"),
    ],
)
def test_options_out_of_range_are_one_line_and_exit_code_2(
    options: str, images_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "net.spikec"
    arguments = ("--calibration", f"{images_file}:x", "-o", output, *options.split())
    fails(spikec("compile", "net.onnx", *arguments), 2)
    assert not output.exists()
