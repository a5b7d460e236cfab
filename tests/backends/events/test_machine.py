from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from spikec.backends.simulator.events import machine as machine_module
from spikec.backends.simulator.events.machine import (
    L2_BYTES,
    SIMULATOR_CPU,
    Level,
    Machine,
    MachineCodeError,
    host_machine,
)
from spikec.compiler.errors import CompileError, OptionError

LINUX = "unknown-linux-gnu"
V2 = ("sse4.2", "popcnt", "ssse3", "cx16")
V3 = (*V2, "avx", "avx2", "fma", "bmi")
V4 = (*V3, "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd")

Pretend = Callable[..., None]


@pytest.fixture(autouse=True)
def _nothing_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SIMULATOR_CPU, raising=False)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Let LLVM tell of another processor."""

    def host(architecture: str, cpu: str, *features: str) -> None:
        absent = {"avx512vbmi2": False, "sve": False}
        told: Mapping[str, bool] = absent | dict.fromkeys(features, True)
        monkeypatch.setattr(machine_module, "_host", lambda: (f"{architecture}-{LINUX}", cpu, told))

    return host


def shape(machine: Machine) -> tuple[str, int, int, int]:
    return machine.cpu, machine.vector_bytes, machine.lanes, machine.registers


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ((), (16, 8, 16)),
        (V2, (16, 8, 16)),
        ((*V2, "avx"), (16, 8, 16)),
        (V3, (32, 16, 16)),
        (V4, (64, 32, 32)),
        ((*V3, "avx512f", "avx512cd"), (32, 16, 16)),  # no arithmetic on 16 bits
    ],
)
def test_vectors_are_as_wide_as_integers_of_16_bits_can_be_added(
    pretend: Pretend, features: tuple[str, ...], expected: tuple[int, int, int]
) -> None:
    pretend("x86_64", "somelake", *features)
    assert shape(host_machine()) == ("somelake", *expected)


def test_aarch64_has_32_registers_of_8_lanes(pretend: Pretend) -> None:
    pretend("aarch64", "neoverse-n1", "neon", "dotprod")
    machine = host_machine()
    assert shape(machine) == ("neoverse-n1", 16, 8, 32)
    assert machine.has("neon")
    assert not machine.has("sve")


@pytest.mark.parametrize(("kind", "name"), [("x86_64", "x86-64"), ("aarch64", "generic")])
@pytest.mark.parametrize("told", ["generic", ""])
def test_an_unknown_processor_is_a_generic_one_with_its_features(
    pretend: Pretend, kind: str, name: str, told: str
) -> None:
    pretend(kind, told, *V3)
    machine = host_machine()
    assert machine.cpu == name
    assert machine.has("avx2")
    assert "-sve" in machine.features.split(",")


@pytest.mark.parametrize(
    ("level", "lanes", "has", "lacks"),
    [
        (Level.AVX512, 32, "avx512bw", "avx512vnni"),
        (Level.AVX2, 16, "avx2", "avx512f"),
        (Level.SSE, 8, "sse4.2", "avx"),
        (Level.GENERIC, 8, "", "sse4.2"),
    ],
)
def test_a_level_leaves_its_own_features_of_those_that_there_are(
    pretend: Pretend, level: Level, lanes: int, has: str, lacks: str
) -> None:
    pretend("x86_64", "somelake", *V4, "avx512vnni")
    machine = host_machine(level)
    assert (machine.cpu, machine.lanes) == ("x86-64", lanes)
    assert machine.has(has) or not has
    assert not machine.has(lacks)
    assert not machine.has("f16c")  # it is part of level v3, but this processor lacks it


def test_the_environment_names_a_level(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend("x86_64", "somelake", *V4)
    monkeypatch.setenv(SIMULATOR_CPU, "AVX2")
    assert host_machine() == host_machine(Level.AVX2)
    assert host_machine(Level.SSE).lanes == 8  # the caller knows better


def test_an_unknown_level_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIMULATOR_CPU, "mmx")
    with pytest.raises(OptionError, match="'mmx'; it can be avx512, avx2, sse, generic") as caught:
        host_machine()
    assert "unset" in caught.value.hint


@pytest.mark.parametrize(("kind", "features"), [("x86_64", V2), ("aarch64", ("neon",))])
@pytest.mark.parametrize("level", [Level.AVX512, Level.AVX2])
def test_a_level_above_the_processor_is_refused(
    pretend: Pretend, kind: str, features: tuple[str, ...], level: Level
) -> None:
    pretend(kind, "somelake", *features)
    with pytest.raises(OptionError, match=f"'{level}'"):
        host_machine(level)


def test_a_foreign_architecture_is_refused(pretend: Pretend) -> None:
    pretend("riscv64", "sifive-u74")
    with pytest.raises(MachineCodeError, match="riscv64") as caught:
        host_machine()
    assert isinstance(caught.value, CompileError)


def write_cache(folder: Path, index: int, level: str, size: str) -> None:
    (folder / f"index{index}").mkdir()
    (folder / f"index{index}" / "level").write_text(f"{level}\n", encoding="ascii")
    (folder / f"index{index}" / "size").write_text(f"{size}\n", encoding="ascii")


@pytest.mark.parametrize(
    ("size", "expected"),
    [("1024K", 2**20), ("2M", 2**21), ("262144", 2**18), ("many", L2_BYTES), ("0K", L2_BYTES)],
)
def test_the_second_level_cache_is_as_large_as_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str, expected: int
) -> None:
    monkeypatch.setattr(machine_module, "CACHES", tmp_path)
    write_cache(tmp_path, 0, "1", "32K")
    write_cache(tmp_path, 1, "2", size)
    write_cache(tmp_path, 2, "3", "32M")
    assert host_machine().l2_bytes == expected


def test_without_word_of_it_the_second_level_cache_has_512_kib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_module, "CACHES", tmp_path / "absent")
    assert host_machine().l2_bytes == 512 * 1024
