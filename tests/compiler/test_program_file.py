from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import Case, cases
from safetensors.numpy import save as serialised
from tiny_programs import CONV, POPULATIONS, tiny_program, with_connection, with_population

from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.errors import CompileError, OutputFileError, ProgramError, ProgramFileError
from spikec.compiler.exit_rule import ExitRule, ExitScore
from spikec.compiler.populations import Fire
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program, TailOp
from spikec.compiler.program_file import load, save

FULL = tiny_program(
    target="loihi",
    tail=(TailOp("Reshape", shape=(3, 1)), TailOp("ArgMax", axis=0, keepdims=True)),
    preprocessing=Preprocessing(resize=256, crop=(4, 4), mean=(0.5,), std=(0.25,), layout="hwc"),
    provenance={"model": "нет.onnx", "seed": "0"},
)
quick = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)


def edited(program: Program, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The file of a program with its description changed, arrays kept."""
    program.save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    document = json.loads(header["__metadata__"]["spikec"])
    change(document)
    header["__metadata__"]["spikec"] = json.dumps(document)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    return path


def test_a_loaded_program_is_the_saved_one(tmp_path: Path) -> None:
    FULL.save(tmp_path / "a")
    again = load(tmp_path / "a")
    assert again.digest == FULL.digest
    assert (again.tail, again.preprocessing) == (FULL.tail, FULL.preprocessing)
    assert dict(again.provenance) == dict(FULL.provenance)
    save(again, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@quick
@given(cases())
def test_saved_programs_give_the_same_spikes_and_bytes(tmp_path: Path, case: Case) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    case.program.save(first)
    again = load(first)
    again.save(second)
    assert first.read_bytes() == second.read_bytes()
    before, after = (SimulatorBackend(1).run(p, case.inputs) for p in (case.program, again))
    np.testing.assert_array_equal(before.readout, after.readout)


@settings(quick, max_examples=300)
@given(st.data())
def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "net.spikec"
    FULL.save(path)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        again = load(path)
    except CompileError as error:
        named = error.where.file
    else:
        named = str(path)
        assert again.digest == FULL.digest
        assert dict(again.provenance) == dict(FULL.provenance)
    assert named == str(path)


def test_transposed_arrays_are_stored_in_their_own_order(tmp_path: Path) -> None:
    weights = np.arange(18, dtype=np.int8).reshape(3, 3, 1, 2).T
    program = with_connection("image→hidden", factors=(replace(CONV, weights=weights),))
    program.save(tmp_path / "a")
    np.testing.assert_array_equal(load(tmp_path / "a").connections[0].factors[0].weights, weights)


def test_the_digest_is_of_the_integers_and_not_of_the_provenance() -> None:
    assert tiny_program(provenance={"a": "b"}).digest == tiny_program().digest
    others = [
        tiny_program(timesteps=5),
        tiny_program(target="loihi"),
        with_population("hidden", phi=4),
        with_population("hidden", fire=Fire.SIGNED),
        with_population("hidden", bias=np.array([1, 0]).reshape(2, 1, 1)),
        with_connection("pool→scores", exponent=2),
    ]
    assert len({tiny_program().digest, *(program.digest for program in others)}) == 7


@pytest.mark.parametrize(
    "content",
    {
        "empty": b"",
        "text": b"version https://git-lfs.github.com/spec/v1\n",
        "zeros": bytes(100),
        "huge header": b"\xff" * 64,
        "foreign": serialised({"x": np.zeros(3, np.float32)}),
        "foreign with metadata": serialised({"x": np.zeros(3)}, {"format": "pt"}),
        "no JSON": serialised({"x": np.zeros(3)}, {"spikec": "hello"}),
        "a list": serialised({"x": np.zeros(3)}, {"spikec": "[]"}),
        "deep": serialised({"x": np.zeros(3)}, {"spikec": "[" * 100_000}),
        "long number": serialised({"x": np.zeros(3)}, {"spikec": "9" * 10_000}),
    }.items(),
    ids=lambda item: item[0],
)
def test_files_that_are_no_programs_are_refused_by_name(
    tmp_path: Path, content: tuple[str, bytes]
) -> None:
    path = tmp_path / "net.spikec"
    path.write_bytes(content[1])
    with pytest.raises(ProgramFileError) as caught:
        load(path)
    assert caught.value.where.file == str(path)


def test_missing_files_and_folders_are_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path, Path("/dev/null"), tmp_path / "a\0b"):
        with pytest.raises(ProgramFileError) as caught:
            load(path)
        assert caught.value.where.file == str(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.spikec"
    FULL.save(path)
    content = path.read_bytes()
    for size in range(0, len(content), 37):
        path.write_bytes(content[:size])
        with pytest.raises(ProgramFileError):
            load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(format=2),
        lambda document: document.update(format=True),
        lambda document: document.update(extra=1),
        lambda document: document.pop("digest"),
        lambda document: document.update(digest=None),
        lambda document: document["program"].update(timesteps=5),
        lambda document: document["provenance"].update(model="other"),
    ],
)
def test_changed_descriptions_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(ProgramFileError) as caught:
        load(edited(FULL, tmp_path / "net.spikec", change))
    assert caught.value.where.file == str(tmp_path / "net.spikec")


def test_old_readers_read_what_they_know(tmp_path: Path) -> None:
    formats: list[int] = []
    for program in (FULL, replace(FULL, exit_rule=ExitRule(ExitScore.MARGIN, (1, 2, 3)))):
        path = edited(program, tmp_path / "f", lambda document: formats.append(document["format"]))
        assert load(path).digest == program.digest
    assert formats == [1, 2]
    with pytest.raises(ProgramFileError, match="its format is 1, its contents are of format 2"):
        load(edited(program, tmp_path / "o", lambda document: document.update(format=1)))


def test_a_newer_format_says_so(tmp_path: Path) -> None:
    path = edited(FULL, tmp_path / "n", lambda document: document.update(format=7))
    with pytest.raises(ProgramFileError, match=r"format 7.*up to 2"):
        load(path)


def test_a_wrong_program_with_a_right_digest_names_file_and_population(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.spikec"
    with monkeypatch.context() as patched:
        patched.setattr("spikec.compiler.program.check_structure", lambda program: None)
        with_population("hidden", phi=999).save(path)
    with pytest.raises(ProgramError) as caught:
        load(path)
    assert (caught.value.where.node, caught.value.where.file) == ("hidden", str(path))


@pytest.mark.parametrize("place", ["missing/net", ".", "a\0b", "x" * 300, "file/net"])
def test_unwritable_places_are_refused_by_name(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputFileError) as caught:
        FULL.save(tmp_path / place)
    assert caught.value.where.file == str(tmp_path / place)
    assert os.listdir(tmp_path) == ["file"]


def test_devices_are_not_replaced_by_files() -> None:
    with pytest.raises(OutputFileError):
        FULL.save("/dev/null")
    assert Path("/dev/null").is_char_device()


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "net.spikec"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputFileError) as caught:
            FULL.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.where.file == str(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["net.spikec"]


def test_saving_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    FULL.save(link)
    assert link.is_symlink()
    assert load(tmp_path / "real").digest == FULL.digest


def test_names_of_any_script_round_trip(tmp_path: Path) -> None:
    hidden = replace(POPULATIONS[1], name="слой/1 →'\"")
    program = tiny_program(
        populations=(POPULATIONS[0], hidden, *POPULATIONS[2:]),
        connections=tuple(
            replace(c, source=hidden.name if c.source == "hidden" else c.source,
                    sink=hidden.name if c.sink == "hidden" else c.sink)
            for c in tiny_program().connections
        ),
    )  # fmt: skip
    program.save(tmp_path / "a")
    assert load(tmp_path / "a").populations[1].name == hidden.name
