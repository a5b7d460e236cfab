"""An export runs by itself in Lava, and computes what the golden model computes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import spikec
from lava_environment import lava_python
from lava_programs import every_rule
from tiny_programs import tiny_program

from spikec.backends.lava.export import export
from spikec.backends.lava.lowering import Processes
from spikec.backends.lava.processes import clean_environment
from spikec.backends.lava.source_text import call, identifiers, text_of
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.errors import InputError, OutputFileError
from spikec.compiler.populations import Coding
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.runtime.compile import compile_model
from spikec.runtime.encode import decode, model_inputs, quantise
from spikec.runtime.verify import random_inputs

MODELS = Path(__file__).resolve().parents[3] / "models"


def exported(program: Program, folder: Path, processes: Processes = Processes.AUTO) -> Path:
    """The folder, with two random inputs."""
    inputs = random_inputs(program, 2)
    expected = ReferenceBackend().run(program, inputs).readout
    export(program, folder, inputs, expected, processes=processes)
    return folder


def run_main(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it from elsewhere, with nothing of ours on the path."""
    return subprocess.run(
        [lava_python(), folder / "main.py", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder.parent,
        env=clean_environment(),
        check=False,
    )


@pytest.mark.parametrize("processes", [Processes.OWN, Processes.STOCK])
def test_it_computes_the_integers_of_the_golden_model(processes: Processes, tmp_path: Path) -> None:
    done = run_main(exported(tiny_program(), tmp_path / "net", processes))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 potentials, all equal" in done.stdout


def test_every_rule_and_event_frames_can_be_exported(tmp_path: Path) -> None:
    done = run_main(exported(every_rule(Coding.FRAMES), tmp_path / "net"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_says_when_an_integer_differs(tmp_path: Path) -> None:
    folder = exported(tiny_program(), tmp_path / "net")
    expected = np.load(folder / "expected.npy")
    expected[1, 2, 0] += 1
    np.save(folder / "expected.npy", expected)
    done = run_main(folder)
    assert done.returncode == 1
    assert "NOT equal" in done.stdout


def test_inputs_of_the_model_are_quantised_as_spikec_does_it(tmp_path: Path) -> None:
    program = tiny_program()
    folder = exported(program, tmp_path / "net")
    real = np.random.default_rng(1).normal(0, 60, (3, 1, 4, 4)).astype(np.float32)
    np.save(tmp_path / "real.npy", real)
    done = run_main(folder, tmp_path / "real.npy", "--output", tmp_path / "outputs.npy")
    assert done.returncode == 0, done.stdout + done.stderr
    readout = ReferenceBackend().run(program, quantise(program, real)).readout
    wanted = decode(program, readout[:, -1], program.timesteps)
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy").astype(np.float32), wanted)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (np.zeros((2, 1, 4, 5)), "shape (2, 1, 4, 5)"),
        (np.full((1, 1, 4, 4), 128), "at most ±127"),
        (np.full((1, 1, 4, 4), np.nan), "NaN"),
    ],
    ids=["shape", "range", "not a number"],
)
def test_inputs_that_do_not_fit_are_refused_in_a_line(
    inputs: np.ndarray, words: str, tmp_path: Path
) -> None:
    folder = exported(tiny_program(), tmp_path / "net")
    np.save(tmp_path / "wrong.npy", inputs)
    done = run_main(folder, tmp_path / "wrong.npy")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (exported(tiny_program(), tmp_path / name) for name in ("a", "b"))
    files = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
    assert files == sorted(f.relative_to(second) for f in second.rglob("*") if f.is_file())
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes()


def test_names_that_are_no_python_names_can_be_exported(tmp_path: Path) -> None:
    program = tiny_program()
    new = {"image": "class", "hidden": 'a"b\\', "pool": "/1/ä", "scores": "|a B"}
    renamed = Program(
        tuple(replace(p, name=new[p.name]) for p in program.populations),
        tuple(replace(c, source=new[c.source], sink=new[c.sink]) for c in program.connections),
        program.timesteps,
    )
    done = run_main(exported(renamed, tmp_path / "net"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_names_become_the_same_and_none_a_keyword() -> None:
    names = ["a.b", "a b", "A_b", "a_b_2", "for", "3", "-", "inputs", "ä"]
    found = identifiers(names)
    assert list(found) == names
    assert len({*found.values()}) == len(names)
    assert all(name.isidentifier() and name != "inputs" for name in found.values())
    compile("; ".join(f"{name} = 1" for name in found.values()), "names", "exec")


def test_long_calls_are_broken_into_lines_and_short_ones_are_not() -> None:
    assert text_of(call("f", "1", x=("2",)), 0) == "f(1, x=(2,))"
    long = call("f", "a" * 60, x=("b" * 30, "c" * 30), y="()")
    broken = text_of(long, 4)
    assert (
        broken
        == f"f(\n        {'a' * 60},\n        x=({'b' * 30}, {'c' * 30}),\n        y=(),\n    )"
    )


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(OutputFileError, match="not empty"):
        exported(tiny_program(), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    assert (exported(tiny_program(), tmp_path / "net") / "network.py").is_file()
    assert [folder.name for folder in tmp_path.iterdir()] == ["net"]


def test_files_and_missing_parents_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputFileError, match="no folder"):
        exported(tiny_program(), tmp_path / "file")
    with pytest.raises(OutputFileError, match="missing"):
        exported(tiny_program(), tmp_path / "absent" / "net")


def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        export(tiny_program(), tmp_path / "net", np.zeros((1, 4, 4)), np.zeros((1, 4, 3)))
    program, inputs = tiny_program(), random_inputs(tiny_program(), 1)
    with pytest.raises(ValueError, match="pickle"):
        export(program, tmp_path / "net", inputs, np.array([object()]))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports_the_first_inputs_of_a_file(tmp_path: Path) -> None:
    tiny_program().save(tmp_path / "net.spikec")
    np.save(tmp_path / "images.npy", np.full((5, 1, 4, 4), 3.2, np.float32))
    folder = tmp_path / "out"
    inputs = ("--inputs", tmp_path / "images.npy", "--samples", 3)
    done = spikec("export", "lava", tmp_path / "net.spikec", folder, "--json", *inputs)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["inputs"] == 3
    np.testing.assert_array_equal(np.load(folder / "inputs.npy"), np.full((3, 1, 4, 4), 3))
    assert np.load(folder / "expected.npy").shape == (3, 4, 3)


def test_the_command_refuses_a_full_folder_before_it_computes(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    done = spikec("export", "lava", tmp_path / "absent.spikec", tmp_path / "full")
    assert done.exit_code == 1
    assert "not empty" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["avgpool", "maxpool"])
def test_a_trained_network_can_be_exported(pooling: str, tmp_path: Path) -> None:
    with np.load(MODELS / "demo_images.npz") as archive:
        calibration, images = archive["calib_x"][:16], archive["test_x"][:3]
    program = compile_model(
        MODELS / "networks" / f"fashion_{pooling}.onnx",
        calibration,
        preprocessing=Preprocessing(scale=1 / 255, layout="hw"),
        timesteps=4,
        bias_rounds=1,
    )
    inputs = quantise(program, model_inputs(program, images))
    expected = ReferenceBackend().run(program, inputs).readout
    export(program, tmp_path / "net", inputs, expected)
    done = run_main(tmp_path / "net")
    assert done.returncode == 0, done.stdout + done.stderr
