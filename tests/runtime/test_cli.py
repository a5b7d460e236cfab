from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import fails, spikec

from spikec.compiler.arrays import Array
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.runtime import session as sessions
from spikec.runtime.cli.options import numbers, one_or_two, preprocessing
from spikec.runtime.inspection import program_dict

COMMANDS = ("check", "compile", "run", "eval", "inspect")


@pytest.fixture(autouse=True)
def plain_simulator(monkeypatch: pytest.MonkeyPatch, plain_loops: object) -> None:
    """Commands run plain loops: what a backend computes is not their business."""
    monkeypatch.setattr(sessions, "backend_named", lambda name: plain_loops)


def test_the_version_is_printed() -> None:
    result = spikec("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("spikec 0.")


@pytest.mark.parametrize("command", [*COMMANDS, "verify", "doctor", "lava setup"])
def test_every_help_teaches_by_examples(command: str) -> None:
    result = spikec(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"spikec {command} " in result.stdout.split("Usage", 1)[1].split("\n", 2)[2]


def test_wrong_usage_is_one_line_and_exit_code_2() -> None:
    fails(spikec("inspect"), 2, "spikec inspect --help")
    fails(spikec("inspect", "a", "--no-such-option"), 2)
    fails(spikec("no-such-command"), 2)
    fails(spikec("compile", "a.onnx", "--calibration", "b.npy", "-o", "c", "-T", "x"), 2)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_file_is_named(command: str, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    arguments = {
        "check": [absent],
        "compile": [absent, "--calibration", absent, "-o", tmp_path / "o"],
        "run": [absent, absent, "-o", tmp_path / "o.npz"],
        "eval": [absent, absent],
        "inspect": [absent],
    }[command]
    fails(spikec(command, *arguments), 1, str(absent))
    assert not list(tmp_path.iterdir())


def test_eval_prints_accuracy_counts_and_estimates(net: Path, images_file: Path) -> None:
    result = spikec("eval", net, f"{images_file}:x", "--labels", f"{images_file}:y")
    assert result.exit_code == 0, result.output
    for words in ("accuracy", "hidden", "estimate", "+ without", "left out", "ANN, int8"):
        assert words in result.stdout
    assert "no figure" not in result.stdout


def test_eval_prints_terms_and_layers_on_request(net: Path, images_file: Path) -> None:
    result = spikec("eval", net, f"{images_file}:x", "--labels", ":y", "--details")
    for words in ("no figure", "by layer", "rations", "total (estimate)"):
        assert words in result.stdout


def test_eval_prints_exactly_one_json_object(net: Path, images_file: Path) -> None:
    result = spikec("eval", net, f"{images_file}:x", "--labels", ":y", "--limit", 10, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["images"] == 10
    assert len(content["accuracy_by_step"]) == 4


def test_eval_without_labels_says_so_on_stderr(net: Path, images_file: Path) -> None:
    result = spikec("eval", net, images_file, "--array", "x", "--json")
    assert result.exit_code == 0, result.output
    assert "no labels" in result.stderr
    assert json.loads(result.stdout)["accuracy"] is None


def test_eval_takes_the_cost_table_of_the_user(net: Path, images_file: Path) -> None:
    result = spikec("eval", net, f"{images_file}:x", "--costs", "loihi1_2018", "--json")
    assert list(json.loads(result.stdout)["energy"]) == ["loihi1_2018"]
    fails(spikec("eval", net, f"{images_file}:x", "--costs", "absent.toml"), 1, "absent.toml")


def test_labels_of_the_wrong_length_name_their_file(
    net: Path, images_file: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "y.npy"
    np.save(labels, np.zeros(5, int))
    result = spikec("eval", net, f"{images_file}:x", "--labels", labels)
    fails(result, 1, str(labels), "5 labels for 23 images")


def test_run_saves_what_run_returns(
    net: Path, images_file: Path, tmp_path: Path, program: Program, images: Array
) -> None:
    output = tmp_path / "out.npz"
    arguments = ("-o", output, "--spikes", "hidden", "--limit", 6, "--json")
    result = spikec("run", net, f"{images_file}:x", *arguments)
    assert result.exit_code == 0, result.output
    expected = sessions.run(program, images[:6], record=["hidden"])
    with np.load(output) as saved:
        np.testing.assert_array_equal(saved["outputs"], expected.outputs)
        np.testing.assert_array_equal(saved["outputs_by_step"], expected.outputs_by_step)
        np.testing.assert_array_equal(saved["predictions"], expected.predictions)
        np.testing.assert_array_equal(saved["spikes/hidden"], expected.spikes["hidden"])
    assert json.loads(result.stdout)["predictions"] == saved_classes(expected.predictions)


def saved_classes(predictions: Array | None) -> list[int]:
    assert predictions is not None
    classes: list[int] = predictions.tolist()
    return classes


def test_run_refuses_an_unknown_layer_and_leaves_no_file(
    net: Path, images_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.npz"
    result = spikec("run", net, f"{images_file}:x", "-o", output, "--spikes", "conv9")
    fails(result, 2, "conv9", "hidden")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.npz", "net.spikec"]


def test_an_output_that_cannot_be_written_is_refused_before_the_run(
    net: Path, images_file: Path, tmp_path: Path
) -> None:
    for output in (tmp_path, tmp_path / "absent" / "out.npz"):
        fails(spikec("run", net, f"{images_file}:x", "-o", output), 1, str(output))


def test_inspect_shows_populations_and_connections(net: Path) -> None:
    result = spikec("inspect", net)
    assert result.exit_code == 0, result.output
    for words in ("hidden", "pixels→hidden", "500 … 4,000", "Dense", "digest"):
        assert words in result.stdout


def test_inspect_as_json_equals_the_program(net: Path, program: Program) -> None:
    content = json.loads(spikec("inspect", net, "--json").stdout)
    assert content == json.loads(json.dumps(program_dict(program)))
    hidden = content["populations"][1]
    assert hidden["threshold"] == [500, 4000]
    assert (hidden["phi"], hidden["bits"], content["macs"]) == (3, 4, 20)


@pytest.mark.parametrize("option", ["--limit", "--batch-size"])
def test_counts_below_one_are_exit_code_2(option: str, net: Path, images_file: Path) -> None:
    result = spikec("eval", net, f"{images_file}:x", "--labels", f"{images_file}:y", option, 0)
    fails(result, 2, "0")


def test_numbers_may_be_fractions() -> None:
    assert numbers("1/255, 0.5", "--mean") == (1 / 255, 0.5)
    assert one_or_two("224X192", "--crop") == (224, 192)
    assert preprocessing(None, None, None, None, (None, None)) is None
    both = preprocessing("1/255", None, "0.1,0.2,0.3", "hwc", ("256", "224"))
    assert both == Preprocessing(256, (224, 224), 1 / 255, (0.0,), (0.1, 0.2, 0.3), "hwc")


@pytest.mark.parametrize("command", ["run", "eval"])
def test_threads_reach_the_backend_and_are_at_least_one(
    command: str, net: Path, images_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, plain_loops: object,
) -> None:  # fmt: skip
    asked: list[tuple[str, int | None]] = []

    def backend_named(name: str, threads: int | None = None) -> object:
        asked.append((name, threads))
        return plain_loops

    monkeypatch.setattr(sessions, "backend_named", backend_named)
    rest = ["-o", str(tmp_path / "out.npz")] if command == "run" else []
    arguments = [command, str(net), f"{images_file}:x", *rest]
    assert spikec(*arguments, "--threads", "3").exit_code == 0
    assert asked == [("simulator", 3)]
    refused = spikec(*arguments, "--threads", "0")
    assert refused.exit_code == 2
    assert "--threads is 0" in refused.stderr
