"""Fetch: weights on their way to the second-level cache before events ask for them in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

from spikec.backends.simulator.events.emit import I32, I64, Code, symbol

LINE = 64
"""Bytes that come at a time."""

READ, NEARBY, NUMBERS = 0, 2, 1
"""What LLVM is told: nothing will be written, the second level will do, and it is no code."""


@dataclass(frozen=True)
class Fetch:
    """Prefetches so many cache lines of an array, in order."""

    scalars: ClassVar[tuple[str, ...]] = ("lines",)
    operands: ClassVar[tuple[str, ...]] = ("source",)

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(), I32, I32, I32])
        prefetch = ir.Function(module, kind, "llvm.prefetch.p0")
        hints = I32(READ), I32(NEARBY), I32(NUMBERS)
        with code.loop(code.number("lines")) as line:
            place = code.at(code.address("source"), code.builder.mul(line, I64(LINE)))
            code.builder.call(prefetch, (code.builder.inttoptr(place, ir.PointerType()), *hints))
        code.finish()
