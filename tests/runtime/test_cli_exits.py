from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import spikec
from tiny_programs import tiny_program, with_population

from spikec.compiler.arrays import Array
from spikec.compiler.exit_rule import NEVER, ExitRule, ExitScore
from spikec.compiler.program import Program
from spikec.runtime import compile as compiling

RULE = ExitRule(ExitScore.MARGIN, (50, NEVER, 1000))
PROGRAM = tiny_program(exit_rule=RULE)
FACTS = {
    "rule": "margin", "loss_allowed": 1.0, "right_by": "labels", "judged_images": 300,
    "lost_images": 1, "loss_bound_95": 1.572, "proven": False, "mean_timesteps": 2.5,
    "histogram": [150, 0, 0, 150],
}  # fmt: skip


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    images = random.integers(-100, 100, (19, 1, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "images.npz", x=images, y=random.integers(0, 3, 19))
    return tmp_path / "images.npz"


def saved(program: Program, folder: Path) -> Path:
    program.save(folder / "net.spikec")
    return folder / "net.spikec"


def test_run_saves_the_exits_unless_they_are_switched_off(inputs: Path, tmp_path: Path) -> None:
    net, out = saved(PROGRAM, tmp_path), tmp_path / "out.npz"
    result = spikec("run", net, f"{inputs}:x", "-o", out)
    assert result.exit_code == 0, result.output
    exits = np.load(out)["exits"]
    assert 1 < exits.mean() < 4
    assert f"{exits.mean():.2f} of 4" in result.stdout
    content = json.loads(spikec("run", net, f"{inputs}:x", "-o", out, "--json").stdout)
    assert content["exits"] == exits.tolist()
    whole = spikec("run", net, f"{inputs}:x", "-o", out, "--no-exit", "--json")
    assert json.loads(whole.stdout)["exits"] is None
    assert "exits" not in np.load(out)


def test_eval_shows_who_left_when(inputs: Path, tmp_path: Path) -> None:
    net = saved(PROGRAM, tmp_path)
    arguments = ("eval", net, f"{inputs}:x", "--labels", ":y")
    result = spikec(*arguments)
    assert result.exit_code == 0, result.output
    for words in ("mean time steps", "% fewer", "images that left after each time step"):
        assert words in result.stdout
    assert "windowed" not in result.stdout
    content = json.loads(spikec(*arguments, "--json").stdout)
    assert sum(content["exit_histogram"]) == 19
    whole = spikec(*arguments, "--no-exit").stdout
    assert "mean time steps" not in whole
    assert "images that left" not in whole


def test_eval_says_what_windows_leave_to_save(inputs: Path, tmp_path: Path) -> None:
    windowed = replace(with_population("hidden", windowed=True), exit_rule=RULE)
    result = spikec("eval", saved(windowed, tmp_path), f"{inputs}:x")
    assert result.exit_code == 0, result.output
    assert "windowed populations" in result.stdout


def test_inspect_shows_the_rule(tmp_path: Path) -> None:
    net = saved(PROGRAM, tmp_path)
    assert "margin above 50 at 1, 1,000 at 3" in spikec("inspect", net).stdout
    content = json.loads(spikec("inspect", net, "--json").stdout)
    assert content["exit_rule"] == {"score": "margin", "thresholds": [50, NEVER, 1000]}
    plain = saved(replace(PROGRAM, exit_rule=None), tmp_path)
    assert json.loads(spikec("inspect", plain, "--json").stdout)["exit_rule"] is None
    real = saved(replace(PROGRAM, exit_rule=ExitRule(ExitScore.CONFIDENCE, (1, 2, 3))), tmp_path)
    assert "confidence above 1 − 0.368 at 1, 1 − 0.135 at 2" in spikec("inspect", real).stdout
    never = saved(replace(PROGRAM, exit_rule=ExitRule(ExitScore.ENTROPY, (NEVER,) * 3)), tmp_path)
    assert "entropy, at no step" in spikec("inspect", never).stdout


def test_compile_passes_exits_on_and_says_what_came_of_them(
    monkeypatch: pytest.MonkeyPatch, inputs: Path, tmp_path: Path
) -> None:
    seen: dict[str, object] = {}

    def compile_model(model: str, calibration: Array, **options: object) -> Program:
        seen.update(options)
        return replace(PROGRAM, provenance={"exits": json.dumps(FACTS)})

    monkeypatch.setattr(compiling, "compile_model", compile_model)
    arguments = ("compile", "net.onnx", "--calibration", f"{inputs}:x", "-o", tmp_path / "net")
    options = ("--exit-loss", "1", "--exit-rule", "entropy", "--exit-proven", "--labels", ":y")
    result = spikec(*arguments, *options)
    assert result.exit_code == 0, result.output
    assert (seen["exit_loss"], seen["exit_rule"]) == (1.0, "entropy")
    assert seen["exit_proven"] is True
    assert np.array_equal(np.asarray(seen["labels"]), np.load(inputs)["y"])
    for words in ("2.50 on 300", "150, 0, 0, 150", "1 of 300", "0.33 points", "1.57", "not proven"):
        assert words in result.stdout
    content = json.loads(spikec(*arguments, *options, "--json").stdout)
    assert content["exits"] == FACTS


@pytest.mark.parametrize(
    "option", [("--exit-rule", "margin"), ("--exit-proven",), ("--labels", ":y")]
)
def test_an_option_that_says_nothing_without_a_loss_is_refused(
    option: tuple[str, ...], inputs: Path, tmp_path: Path
) -> None:
    arguments = ("--calibration", f"{inputs}:x", "-o", tmp_path / "net")
    result = spikec("compile", "net.onnx", *arguments, *option)
    assert result.exit_code == 2
    assert "without --exit-loss" in result.stderr


@pytest.mark.parametrize("options", ["--exit-loss 0", "--exit-loss 101", "--exit-loss 1 -T 1"])
def test_a_loss_out_of_range_is_refused(options: str, inputs: Path, tmp_path: Path) -> None:
    arguments = ("--calibration", f"{inputs}:x", "-o", tmp_path / "net", *options.split())
    result = spikec("compile", "net.onnx", *arguments)
    assert result.exit_code == 2
    assert "exit_loss is" in result.stderr
