"""Kernels small enough to know by heart, for tests of what makes and keeps machine code."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent
"""What a library has to be told to keep these kernels in its cache."""

I8, I16, I64 = (ir.IntType(bits) for bits in (8, 16, 64))
KERNEL = ir.FunctionType(ir.VoidType(), [I64] * 4)


def entry(module: ir.Module, name: str) -> tuple[ir.IRBuilder, ir.Value]:
    """A kernel whose code is yet to come, and the address in its first argument."""
    function = ir.Function(module, KERNEL, name)
    builder = ir.IRBuilder(function.append_basic_block())
    arguments = builder.inttoptr(function.args[0], ir.PointerType())
    return builder, builder.load(arguments, typ=I64)


@dataclass(frozen=True)
class AddConstant:
    """Adds a number to so many int16 at the address that the first argument holds."""

    number: int
    lanes: int = 8

    @property
    def name(self) -> str:
        return f"add_{self.number}_{self.lanes}"

    def emit(self, module: ir.Module) -> None:
        builder, address = entry(module, self.name)
        kind = ir.VectorType(I16, self.lanes)
        place = builder.inttoptr(address, ir.PointerType())
        value = builder.load(place, align=1, typ=kind)
        numbers = ir.Constant(kind, [self.number] * self.lanes)
        builder.store(builder.add(value, numbers), place, align=1)
        builder.ret_void()


@dataclass(frozen=True)
class ClearBytes:
    """Writes zero to a thousand bytes, one by one: a loop that compilers know the name of."""

    name: str = "clear"

    def emit(self, module: ir.Module) -> None:
        builder, address = entry(module, self.name)
        before, body = builder.block, builder.append_basic_block()
        builder.branch(body)
        builder.position_at_end(body)
        index = builder.phi(I64)
        place = builder.inttoptr(builder.add(address, index), ir.PointerType())
        builder.store(I8(0), place)
        following = builder.add(index, I64(1))
        index.add_incoming(I64(0), before)
        index.add_incoming(following, body)
        end = builder.append_basic_block()
        builder.cbranch(builder.icmp_unsigned("<", following, I64(1000)), body, end)
        builder.position_at_end(end)
        builder.ret_void()


@dataclass(frozen=True)
class TakeSine:
    """Needs a function of the C library."""

    name: str = "sine"

    def emit(self, module: ir.Module) -> None:
        builder, address = entry(module, self.name)
        place = builder.inttoptr(address, ir.PointerType())
        value = builder.load(place, typ=ir.DoubleType())
        sine = module.declare_intrinsic("llvm.sin", [ir.DoubleType()])
        builder.store(builder.call(sine, [value]), place)
        builder.ret_void()


@dataclass(frozen=True)
class NeverEnds:
    """Lacks the return at the end of its only block."""

    name: str = "endless"

    def emit(self, module: ir.Module) -> None:
        entry(module, self.name)


def module_text(spec: AddConstant | ClearBytes | TakeSine | NeverEnds) -> str:
    """The module of one kernel."""
    module = ir.Module(spec.name)
    spec.emit(module)
    return str(module)


def call(address: int, values: NDArray[np.generic]) -> None:
    """Run a kernel on an array, in place."""
    arguments = np.array([values.ctypes.data], np.int64)
    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address)
    kernel(arguments.ctypes.data, 0, 0, 0)
