"""Verification finds the first integer that differs, in whatever layer and quantity."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import spikec
from lava_environment import lava_python
from lava_interpreters import SHIM, script
from tiny_programs import INPUT, POPULATIONS, tiny_program

from spikec.backends.base import BackendRun, Progress
from spikec.backends.lava import backend as lava_module
from spikec.backends.lava.environment import LAVA_PYTHON
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.arrays import Array
from spikec.compiler.errors import InputError, OptionError
from spikec.compiler.populations import Coding
from spikec.compiler.program import Program
from spikec.runtime import session
from spikec.runtime.session import backend_named
from spikec.runtime.verify import Difference, random_inputs, verify

PROGRAM = tiny_program()
INPUTS = np.random.default_rng(2).integers(-127, 128, (3, 1, 4, 4))


class Wrong:
    """The golden model, with some of its integers changed."""

    name = "wrong"

    def __init__(self, change: Callable[[BackendRun], None] = lambda run: None) -> None:
        self.change = change

    def prepare(self) -> None:
        """Nothing is needed."""

    def run(
        self,
        program: Program,
        inputs: Array,
        *,
        record: frozenset[str] = frozenset(),
        progress: Progress | None = None,
    ) -> BackendRun:
        run = ReferenceBackend().run(program, inputs, record=record)
        self.change(run)
        return run


def first_difference(change: Callable[[BackendRun], None]) -> Difference | None:
    (backend,) = verify(PROGRAM, INPUTS, [Wrong(change)]).backends
    return backend.first


def spike(run: BackendRun) -> None:
    run.spikes["hidden"][1, 2, 0, 3, 1] += 1
    run.spikes["hidden"][0, 3, 0, 0, 0] += 1  # later in time, although of an earlier image
    run.readout[2, 0, 1] -= 5  # of a later layer


def membrane(run: BackendRun) -> None:
    run.membranes["hidden"][2, 1, 1, 2, 0] -= 7


def saturation(run: BackendRun) -> None:
    run.populations["hidden"].saturations[0, 3] = 2


def potential(run: BackendRun) -> None:
    run.readout[2, 3, 1] -= 5


@pytest.mark.parametrize(
    ("change", "layer", "quantity", "place", "by"),
    [
        (spike, "hidden", "spikes", (1, 3, (0, 3, 1)), 1),
        (membrane, "hidden", "membrane", (2, 2, (1, 2, 0)), -7),
        (saturation, "hidden", "saturations", (0, 4, ()), 2),
        (potential, "scores", "read-out", (2, 4, (1,)), -5),
    ],
)
def test_the_first_difference_is_found(
    change: Callable[[BackendRun], None],
    layer: str,
    quantity: str,
    place: tuple[int, int, tuple[int, ...]],
    by: int,
) -> None:
    found = first_difference(change)
    assert found is not None
    assert (found.layer, found.quantity) == (layer, quantity)
    assert (found.image, found.step, found.neuron) == place
    assert found.actual - found.expected == by


def test_equal_runs_are_equal_in_every_integer() -> None:
    result = verify(PROGRAM, INPUTS, [Wrong()])
    assert result.equal
    (backend,) = result.backends
    compared = {layer.name: layer.compared for layer in backend.layers}
    assert compared == {
        "image": 3 * 4 * 16,
        "hidden": 3 * 4 * (32 + 32 + 1),  # spikes, membranes, saturations
        "pool": 3 * 4 * (8 + 1),
        "scores": 3 * 4 * 3,
    }
    assert all(layer.differing == 0 for layer in backend.layers)


def test_without_inputs_nothing_is_verified() -> None:
    with pytest.raises(InputError, match="no input"):
        verify(PROGRAM, INPUTS[:0], [])


def test_random_inputs_cover_the_range_and_follow_the_seed() -> None:
    many = random_inputs(PROGRAM, 500)
    assert many.shape == (500, 1, 4, 4)
    assert (many.min(), many.max()) == (-127, 127)
    np.testing.assert_array_equal(many, random_inputs(PROGRAM, 500))
    assert not np.array_equal(many, random_inputs(PROGRAM, 500, seed=1))
    frames = (replace(INPUT, coding=Coding.FRAMES), *POPULATIONS[1:])
    assert random_inputs(tiny_program(populations=frames), 2).shape == (2, 4, 1, 4, 4)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    PROGRAM.save(tmp_path / "net.spikec")
    return tmp_path / "net.spikec"


@pytest.fixture
def lava(monkeypatch: pytest.MonkeyPatch) -> Wrong:
    """Stands in for both backends; its options are kept."""
    wrong = Wrong()
    monkeypatch.setattr(session, "backend_named", lambda name: Wrong())
    monkeypatch.setattr(lava_module, "LavaBackend", lambda **options: wrong)
    return wrong


def test_verify_prints_a_row_per_layer(net: Path, lava: Wrong) -> None:
    result = spikec("verify", net, "--samples", 3)
    assert result.exit_code == 0, result.output
    for words in ("3 inputs", "4 time steps", "hidden", "max_pool", "equal", "all equal"):
        assert words in result.stdout
    assert "differ" not in result.stdout


def test_verify_shows_the_first_difference_and_exits_with_1(net: Path, lava: Wrong) -> None:
    lava.change = membrane
    result = spikec("verify", net, "--samples", 3)
    assert result.exit_code == 1
    assert "1 of 780 differ" in result.stdout
    assert "hidden, membrane, input 2, step 2, neuron (1, 2, 0)" in " ".join(result.stdout.split())
    content = json.loads(spikec("verify", net, "--samples", 3, "--json").stdout)
    assert not content["equal"]
    assert content["backends"][1]["layers"][1]["first"]["step"] == 2


def test_verify_takes_inputs_of_the_user(net: Path, lava: Wrong, tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", x=np.zeros((5, 1, 4, 4), np.float32))
    arguments = ("--inputs", f"{tmp_path / 'images.npz'}:x", "--samples", 4, "--json")
    content = json.loads(spikec("verify", net, *arguments).stdout)
    assert content["images"] == 4
    assert content["backends"][0]["layers"][0]["spikes"] == 0
    assert "silent" in spikec("verify", net, *arguments[:-1]).stdout


@pytest.mark.parametrize(
    "options",
    [
        ("--samples", "0"),
        ("--against", "brian"),
        ("--granularity", "neuron"),
        ("--against", "simulator", "--granularity", "layer"),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(net: Path, options: tuple[str, ...]) -> None:
    result = spikec("verify", net, *options)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stdout == ""


def test_granularity_is_about_lava_only() -> None:
    with pytest.raises(OptionError, match="knows none"):
        backend_named("simulator", granularity="layer")
    assert backend_named("lava", granularity="network").name == "lava"


def test_a_wrong_interpreter_is_named(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("Lava runs on Linux only")
    shim = script(tmp_path / "python3.10", SHIM)
    monkeypatch.setenv(LAVA_PYTHON, str(shim))
    result = spikec("verify", net)
    assert result.exit_code == 1
    for words in (str(shim), "exit code 127", "spikec doctor"):
        assert words in result.stderr


def test_lava_verifies_a_program(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAVA_PYTHON, lava_python())
    monkeypatch.setattr(session, "backend_named", lambda name: Wrong())
    result = spikec("verify", net, "--against", "lava")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("all equal") == 2


def test_run_uses_lava_on_request(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LAVA_PYTHON, lava_python())
    np.save(tmp_path / "x.npy", np.random.default_rng(3).uniform(-9, 9, (2, 1, 4, 4)))
    saved = []
    for backend in (("reference",), ("lava", "--granularity", "network")):
        output = tmp_path / f"{backend[0]}.npz"
        arguments = (tmp_path / "x.npy", "-o", output, "--spikes", "hidden", "--backend", *backend)
        assert spikec("run", net, *arguments).exit_code == 0
        with np.load(output) as arrays:
            saved.append({name: arrays[name] for name in arrays.files})
    for name, values in saved[0].items():
        np.testing.assert_array_equal(saved[1][name], values)
    assert saved[0]["spikes/hidden"].any()
