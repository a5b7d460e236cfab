"""The machine that figures belong to, and what one of its cores can do at most.

The peak that event-driven kernels are held against is a loop that reads int16 weights from a table
of 16 KB and adds them to sums that never leave the registers: what the core can add at all, with
all weights in the first-level cache. Programs have int8 weights; widening each of them by an
instruction of its own is a second loop.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
from measured import ADDITIONS, WIDENED, Peak
from threadpoolctl import threadpool_limits
from timing import Spread, interleaved

from spikec.backends.simulator import SimulatorBackend

PACKAGES = ("spikec", "numpy", "llvmlite", "onnxruntime", "torch", "spikingjelly", "sinabs")
TABLE = 16 * 1024
LINE = 64
SUMS = 16
PASSES = 20_000
SIZE = 512

LOOP = """
define void @peak(ptr %table, ptr %result, i64 %passes) {{
entry:
  br label %loop
loop:
  %step = phi i64 [ 0, %entry ], [ %step.next, %loop ]
{sums}
  %rest = urem i64 %step, {rows}
  %base = mul i64 %rest, {row}
{adds}
  %step.next = add i64 %step, 1
  %again = icmp ult i64 %step.next, %passes
  br i1 %again, label %loop, label %done
done:
{stores}
  ret void
}}
"""


def machine() -> dict[str, str]:
    """Processor, cores, memory, system and versions."""
    processor = _first("/proc/cpuinfo", "model name") or platform.processor() or "unknown"
    family = [_first("/proc/cpuinfo", key) for key in ("cpu family", "model", "stepping")]
    found = {
        "processor": " ".join(processor.split()),
        "family, model, stepping": " ".join(filter(None, family)),
        "instructions": f"{llvm.get_host_cpu_name()}, {_lanes()} int16 lanes",
        "cores": str(SimulatorBackend().threads),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    return found | {name: _version(name) for name in PACKAGES}


@contextmanager
def one_thread() -> Iterator[None]:
    """Libraries keep to the thread that calls them."""
    try:
        import torch
    except ImportError:
        pass
    else:
        torch.set_num_threads(1)
    with threadpool_limits(limits=1):
        yield


def peaks(repeats: int) -> Iterator[Peak]:
    """What the core adds and multiplies at most."""
    left = np.ones((SIZE, SIZE), np.float32)
    operations: dict[str, tuple[Callable[[], object], int]] = {
        ADDITIONS: additions(16),
        WIDENED: additions(8),
        "float32 matrix product of NumPy: multiply-adds": (lambda: left @ left, SIZE**3),
    }
    samples = interleaved({name: work for name, (work, _) in operations.items()}, repeats)
    for name, (_, count) in operations.items():
        rates = (count / seconds / 1e9 for seconds in samples[name].cpu)
        yield Peak("peaks", name, Spread.of(rates))


def additions(bits: int) -> tuple[Callable[[], object], int]:
    """Runs the loop over weights of so many bits; and how many additions that is."""
    lanes = _lanes()
    table = np.ones(TABLE + LINE, np.int8)
    result = np.zeros(SUMS * lanes, np.int16)
    loop, engine = _compiled(lanes, bits)
    start = -(-table.ctypes.data // LINE) * LINE  # no load crosses from one cache line to the next
    places = start, result.ctypes.data

    def run() -> object:
        loop(*places, PASSES)
        return table, result, engine  # they own what the loop reads, writes and is

    return run, PASSES * SUMS * lanes


def _compiled(lanes: int, bits: int) -> tuple[Callable[..., None], llvm.ExecutionEngine]:
    """The loop as machine code; the engine owns the code."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(_source(lanes, bits))
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    engine = llvm.create_mcjit_compiler(module, target)
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    return kind(engine.get_function_address("peak")), engine


def _source(lanes: int, bits: int) -> str:
    wide, narrow = f"<{lanes} x i16>", f"<{lanes} x i{bits}>"
    size = lanes * bits // 8
    sums, adds, stores = [], [], []
    for k in range(SUMS):
        sums.append(f"  %s{k} = phi {wide} [ zeroinitializer, %entry ], [ %t{k}, %loop ]")
        adds.append(f"  %o{k} = add i64 %base, {k * size}")
        adds.append(f"  %p{k} = getelementptr i8, ptr %table, i64 %o{k}")
        adds.append(f"  %w{k} = load {narrow}, ptr %p{k}, align 1")
        if bits < 16:
            adds.append(f"  %x{k} = sext {narrow} %w{k} to {wide}")
        adds.append(f"  %t{k} = add {wide} %s{k}, %{'x' if bits < 16 else 'w'}{k}")
        stores.append(f"  %q{k} = getelementptr {wide}, ptr %result, i64 {k}")
        stores.append(f"  store {wide} %t{k}, ptr %q{k}, align 2")
    return LOOP.format(
        sums="\n".join(sums),
        adds="\n".join(adds),
        stores="\n".join(stores),
        rows=TABLE // (SUMS * size),
        row=SUMS * size,
    )


def _lanes() -> int:
    """int16 lanes of the widest vector."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512bw"):
        return 32
    return 16 if features.get("avx2") else 8


def _first(file: str, key: str) -> str:
    """The first value of a key in a file of the system; empty where there is none."""
    path = Path(file)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return next((value.strip() for name, value in pairs if name.strip() == key), "")


def _memory() -> str:
    found = _first("/proc/meminfo", "MemTotal").removesuffix(" kB")
    return f"{int(found) / 2**20:.0f} GiB" if found.isdigit() else ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
