from __future__ import annotations

import re

import pytest
from llvmlite import binding
from tiny_kernels import AddConstant, ClearBytes, NeverEnds, TakeSine, module_text

from spikec.backends.simulator.events.machine import (
    Level,
    Machine,
    MachineCodeError,
    host_machine,
)
from spikec.backends.simulator.events.machine_code import MachineCode
from spikec.backends.simulator.events.object_symbols import undefined_symbols
from spikec.compiler.errors import OptionError

LINUX, MACOS, WINDOWS = "unknown-linux-gnu", "apple-macosx11.0", "pc-windows-msvc-elf"


@pytest.fixture(scope="module")
def code() -> MachineCode:
    return MachineCode(host_machine())


def code_at(level: Level) -> MachineCode:
    try:
        return MachineCode(host_machine(level))
    except OptionError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("level", "registers"),
    [
        (Level.AVX512, {"zmm"}),
        (Level.AVX2, {"ymm"}),
        (Level.SSE, {"xmm"}),
        (Level.GENERIC, {"xmm"}),
    ],
)
def test_a_level_bounds_the_width_of_registers(level: Level, registers: set[str]) -> None:
    code = code_at(level)
    if not code.machine.triple.startswith("x86_64"):
        pytest.skip("registers of x86-64")
    text = code.assembly(module_text(AddConstant(5, lanes=32)))
    assert {*re.findall(r"%([xyz]mm)\d", text)} == registers
    assert ("vpaddw" in text) == (level in (Level.AVX512, Level.AVX2))


@pytest.mark.parametrize("cpu", ["skylake-avx512", "emeraldrapids", "znver4", "znver5"])
def test_processors_that_prefer_narrow_vectors_use_the_wide_ones_asked_for(cpu: str) -> None:
    machine = Machine(f"x86_64-{LINUX}", cpu, "", vector_bytes=64, registers=32)
    text = MachineCode(machine).assembly(module_text(AddConstant(5, lanes=32)))
    assert {*re.findall(r"%([xyz]mm)\d", text)} == {"zmm"}


def test_a_loop_that_clears_calls_nothing(code: MachineCode) -> None:
    content = code.object_file(module_text(ClearBytes()))
    assert undefined_symbols(content) == ()
    assert b"memset" not in content


def test_a_kernel_that_needs_a_library_is_refused(code: MachineCode) -> None:
    with pytest.raises(MachineCodeError, match=r"calls _?sin;"):
        code.object_file(module_text(TakeSine()))


@pytest.mark.parametrize("system", [LINUX, MACOS, WINDOWS])
@pytest.mark.parametrize(("kind", "cpu"), [("x86_64", "x86-64"), ("aarch64", "generic")])
def test_undefined_symbols_are_found_in_the_objects_of_every_system(
    system: str, kind: str, cpu: str
) -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    code = MachineCode(Machine(f"{kind}-{system}", cpu, "", vector_bytes=16, registers=16))
    content = code.object_file(module_text(AddConstant(5)))
    assert content[:4] == (b"\xcf\xfa\xed\xfe" if system == MACOS else b"\x7fELF")
    with pytest.raises(MachineCodeError, match=r"calls _?sin;"):
        code.object_file(module_text(TakeSine()))


def test_other_formats_are_not_searched() -> None:
    with pytest.raises(MachineCodeError, match="neither ELF nor Mach-O"):
        undefined_symbols(b"MZ\x90\0")


@pytest.mark.parametrize("text", [module_text(NeverEnds()), "define nonsense"])
def test_a_module_that_is_wrong_is_refused_in_the_words_of_llvm(
    code: MachineCode, text: str
) -> None:
    with pytest.raises(MachineCodeError, match=r"LLVM cannot compile a kernel: .+") as caught:
        code.object_file(text)
    assert caught.value.hint


def test_a_machine_that_llvm_does_not_know_is_refused() -> None:
    with pytest.raises(MachineCodeError, match="pdp11"):
        MachineCode(Machine("pdp11-dec-none", "pdp11", "", vector_bytes=2, registers=8))


def test_a_symbol_that_no_object_defines_is_refused(code: MachineCode) -> None:
    content = code.object_file(module_text(AddConstant(7)))
    with pytest.raises(MachineCodeError, match="absent"):
        code.addresses([content], [AddConstant(7).name, "absent"])


def test_the_version_tells_machines_apart() -> None:
    machine = Machine(f"x86_64-{LINUX}", "x86-64", "", vector_bytes=16, registers=16)
    others = (
        Machine(f"x86_64-{MACOS}", "x86-64", "", vector_bytes=16, registers=16),
        Machine(f"x86_64-{LINUX}", "haswell", "", vector_bytes=16, registers=16),
        Machine(f"x86_64-{LINUX}", "x86-64", "+avx2", vector_bytes=16, registers=16),
    )
    assert len({MachineCode(m).version for m in (machine, *others)}) == 4
