"""Machine: the processor that kernels are made for."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from spikec.compiler.errors import CompileError, OptionError

SIMULATOR_CPU = "SPIKEC_SIMULATOR_CPU"
"""Environment variable that restricts the instructions in use; its values are those of Level."""

L2_BYTES = 512 * 1024
"""Second-level cache of a machine that does not tell."""

WAY_OUT = "without machine code the same results take longer"
"""Hint of every error that machine code has."""

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")

_SSE = ("cx16", "sahf", "popcnt", "crc32", "sse3", "ssse3", "sse4.1", "sse4.2")
_AVX2 = (*_SSE, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
_AVX512 = (*_AVX2, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")


class MachineCodeError(CompileError):
    """This machine, or its LLVM, makes no machine code; other ways to compute remain."""


class Level(StrEnum):
    """Instruction sets that kernels can be restricted to, so that one machine tests them all.

    AVX512, AVX2 and SSE have at most the features of x86-64-v4, -v3 and -v2; GENERIC has those of
    every processor of its kind: SSE2 on x86-64, NEON on AArch64.
    """

    AVX512 = "avx512"
    AVX2 = "avx2"
    SSE = "sse"
    GENERIC = "generic"


_FEATURES: Mapping[Level, tuple[str, tuple[str, ...]]] = {
    Level.AVX512: ("avx512bw", _AVX512),
    Level.AVX2: ("avx2", _AVX2),
    Level.SSE: ("sse4.2", _SSE),
}
"""The feature that makes a level, and all that it may use."""


@dataclass(frozen=True)
class Machine:
    """A processor, as LLVM and the plan of a program see it.

    Attributes:
        triple: LLVM's name of architecture, vendor and operating system.
        cpu: LLVM's name of the processor.
        features: LLVM's feature string: names after + or −, separated by commas.
        vector_bytes: Width of the widest integer vectors that are worth using.
        registers: Vector registers of that width.
        l2_bytes: Second-level cache of one core.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    l2_bytes: int = L2_BYTES

    @property
    def lanes(self) -> int:
        """Elements of 16 bits per vector."""
        return self.vector_bytes // 2

    def has(self, feature: str) -> bool:
        """Whether an LLVM feature, such as ``avx512vbmi2``, may be used."""
        return f"+{feature}" in self.features.split(",")


def host_machine(level: Level | None = None) -> Machine:
    """The machine that this process runs on.

    Args:
        level: Use no instructions beyond it; by default what the environment variable
            SPIKEC_SIMULATOR_CPU says, else all that there are.

    Raises:
        OptionError: The level has no such name, or this machine does not reach it.
        MachineCodeError: No kernels can be made for machines of this kind.
    """
    return _machine(level or _level_asked_for())


def _level_asked_for() -> Level | None:
    name = os.environ.get(SIMULATOR_CPU, "")
    if not name:
        return None
    try:
        return Level(name.lower())
    except ValueError:
        problem = f"{SIMULATOR_CPU} is '{name}'; it can be {', '.join(Level)}"
        raise OptionError(problem, hint="leave it unset to use the whole processor") from None


def _machine(level: Level | None) -> Machine:
    triple, cpu, features = _host()
    if triple.startswith(("aarch64", "arm64")):
        kind, width, registers = "generic", 16, 32
    elif triple.startswith("x86_64"):
        kind = "x86-64"
        features = _restricted(features, level)
        width, registers = _vectors(features)
    else:
        problem = f"kernels are made for x86-64 and AArch64; this is {triple}"
        raise MachineCodeError(problem, hint=WAY_OUT)
    if level is None:
        kind = cpu if cpu not in ("", "generic") else kind
    elif level is Level.GENERIC:
        features = {}
    elif kind == "generic":
        raise _out_of_reach(level, "a processor of another kind")
    flags = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
    return Machine(triple, kind, flags, width, registers, _l2_bytes())


def _restricted(features: Mapping[str, bool], level: Level | None) -> Mapping[str, bool]:
    """What of the features a level leaves; it must be there by the feature that makes it."""
    if level is None:
        return features
    if level is Level.GENERIC:
        return {}
    needed, allowed = _FEATURES[level]
    if not features.get(needed):
        raise _out_of_reach(level, f"a processor without {needed}")
    return {name: True for name in allowed if features.get(name)}


def _out_of_reach(level: Level, what: str) -> OptionError:
    hint = f"leave {SIMULATOR_CPU} unset to use what the processor has"
    return OptionError(f"instructions of level '{level}' are asked of {what}", hint=hint)


def _vectors(features: Mapping[str, bool]) -> tuple[int, int]:
    """Bytes per vector and number of registers of an x86-64 processor."""
    if features.get("avx512bw") and features.get("avx512vl"):
        return 64, 32
    return (32, 16) if features.get("avx2") else (16, 16)


def _l2_bytes() -> int:
    """Size of the second-level cache, as Linux tells it."""
    try:
        for cache in CACHES.glob("index*"):
            if (cache / "level").read_text(encoding="ascii").strip() == "2":
                size = (cache / "size").read_text(encoding="ascii").strip()
                unit = {"K": 2**10, "M": 2**20}.get(size[-1:], 1)
                return int(size.rstrip("KM")) * unit or L2_BYTES
    except (OSError, ValueError):
        pass
    return L2_BYTES


@functools.cache
def _host() -> tuple[str, str, Mapping[str, bool]]:
    """Triple, processor and its features in LLVM's words."""
    if sys.byteorder != "little" or sys.maxsize < 2**32:
        problem = "kernels are made for little-endian machines of 64 bits"
        raise MachineCodeError(problem, hint=WAY_OUT)
    with llvm_failures("LLVM cannot be used on this machine"):
        from llvmlite import binding

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        binding.check_jit_execution()
        features = dict(binding.get_host_cpu_features())
        return binding.get_process_triple(), binding.get_host_cpu_name(), features


@contextmanager
def llvm_failures(what: str) -> Iterator[None]:
    """Say in one MachineCodeError what LLVM, or loading it, says in many ways."""
    try:
        yield
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise MachineCodeError(f"{what}: {str(error).strip()}", hint=WAY_OUT) from error
