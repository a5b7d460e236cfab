"""Code: a kernel in LLVM's intermediate language, with loops, variables and typed memory.

A kernel is ``void name(i64 arguments, i64 image, i64 block, i64 step)``. Its arguments are one
array of int64: for each operand four numbers (an address, and the bytes that an image, a block and
a step move it), then one number for each scalar. Addresses are plain int64. Variables live on the
stack until LLVM puts them into registers, so loops need no explicit phi nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))

OPERAND = 4
"""Numbers per operand: address, bytes per image, per block and per step."""


def vector(element: ir.Type, lanes: int) -> ir.VectorType:
    """A vector type."""
    return ir.VectorType(element, lanes)


def size_of(kind: ir.Type) -> int:
    """Bytes of an integer or of a vector of integers."""
    if isinstance(kind, ir.VectorType):
        return size_of(kind.element) * int(kind.count)
    if isinstance(kind, ir.IntType):
        return int(kind.width) // 8
    return {"float": 4, "double": 8}[str(kind)]


def symbol(spec: object) -> str:
    """A name for the kernel of a spec: its class, and a digest of its fields."""
    digest = hashlib.sha256(repr(spec).encode()).hexdigest()[:16]
    return f"{type(spec).__name__.lower()}_{digest}"


@dataclass(frozen=True)
class Variable:
    """A value that changes; LLVM keeps it in a register."""

    builder: ir.IRBuilder
    place: ir.AllocaInstr

    def get(self) -> ir.Value:
        """The present value."""
        return self.builder.load(self.place)

    def set(self, value: ir.Value) -> None:
        """Give it another value."""
        self.builder.store(value, self.place)


class Code:
    """One kernel under construction.

    Args:
        module: Receives the function.
        name: Its symbol.
        operands: Names of the operands, in the order of the arguments.
        scalars: Names of the numbers behind the operands.
    """

    parameters: ClassVar[int] = 4
    """Of the function, all i64."""

    def __init__(
        self, module: ir.Module, name: str, operands: Sequence[str], scalars: Sequence[str]
    ) -> None:
        kind = ir.FunctionType(ir.VoidType(), [I64] * self.parameters)
        self.function = ir.Function(module, kind, name)
        self.entry = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.builder = ir.IRBuilder(self.function.append_basic_block("body"))
        self._operands = {operand: index for index, operand in enumerate(operands)}
        self._arguments: dict[int, ir.Value] = {}
        first = OPERAND * len(operands)
        self._scalars = {scalar: first + index for index, scalar in enumerate(scalars)}

    def finish(self) -> None:
        """Return from the kernel."""
        self.builder.ret_void()
        self.entry.branch(self.function.blocks[1])

    def number(self, name: str) -> ir.Value:
        """A scalar argument, i64."""
        return self._argument(self._scalars[name])

    def address(self, name: str) -> ir.Value:
        """Where an operand begins for this image, block and step, i64."""
        first = OPERAND * self._operands[name]
        address = self._argument(first)
        for offset, index in enumerate(self.function.args[1:], start=1):
            move = self.entry.mul(self._argument(first + offset), index)
            address = self.entry.add(address, move)
        return address

    def _argument(self, index: int) -> ir.Value:
        """Read once, at the start: LLVM cannot know that the kernel's stores leave it alone."""
        if index not in self._arguments:
            place = self.entry.add(self.function.args[0], I64(8 * index))
            pointer = self.entry.inttoptr(place, ir.PointerType())
            self._arguments[index] = self.entry.load(pointer, align=8, typ=I64)
        return self._arguments[index]

    def at(self, address: ir.Value, offset: int | ir.Value) -> ir.Value:
        """An address, moved by so many bytes."""
        if isinstance(offset, int):
            if offset == 0:
                return address
            offset = I64(offset)
        return self.builder.add(address, offset)

    def load(self, kind: ir.Type, address: ir.Value) -> ir.Value:
        """The value at an address of any alignment."""
        pointer = self.builder.inttoptr(address, ir.PointerType())
        return self.builder.load(pointer, align=1, typ=kind)

    def store(self, value: ir.Value, address: ir.Value) -> None:
        """Write a value."""
        pointer = self.builder.inttoptr(address, ir.PointerType())
        self.builder.store(value, pointer, align=1)

    def load_bits(self, address: ir.Value, lanes: int) -> ir.Value:
        """A vector of booleans from packed bits, the lowest bit first."""
        word = self.load(ir.IntType(lanes), address)
        return self.builder.bitcast(word, vector(I1, lanes))

    def store_bits(self, flags: ir.Value, address: ir.Value) -> None:
        """Write a vector of booleans as packed bits."""
        self.store(self.builder.bitcast(flags, ir.IntType(int(flags.type.count))), address)

    def splat(self, value: ir.Value, lanes: int) -> ir.Value:
        """A vector of equal elements."""
        kind = vector(value.type, lanes)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, I32(0))
        order = ir.Constant(vector(I32, lanes), [0] * lanes)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), order)

    def constant(self, kind: ir.Type, value: int) -> ir.Constant:
        """A number, or a vector of it."""
        if isinstance(kind, ir.VectorType):
            return ir.Constant(kind, [value] * int(kind.count))
        return ir.Constant(kind, value)

    def intrinsic(self, name: str, arguments: Sequence[ir.Value]) -> ir.Value:
        """The value of an LLVM intrinsic that is overloaded on its first argument's type."""
        kind = arguments[0].type
        types = [argument.type for argument in arguments]
        signature = ir.FunctionType(kind, types)
        function = self.builder.module.declare_intrinsic(name, [kind], signature)
        return self.builder.call(function, arguments)

    def variable(self, value: ir.Value) -> Variable:
        """A new variable with a first value."""
        variable = Variable(self.builder, self.entry.alloca(value.type))
        variable.set(value)
        return variable

    @contextmanager
    def loop(self, count: ir.Value | int) -> Iterator[ir.Value]:
        """Repeat the block for i64 indices 0 … count − 1; not at all if count is 0."""
        limit = I64(count) if isinstance(count, int) else count
        index = self.variable(I64(0))
        with self.loop_while(lambda: self.builder.icmp_signed("<", index.get(), limit)):
            present = index.get()
            yield present
            index.set(self.builder.add(present, I64(1)))

    @contextmanager
    def loop_while(self, condition: Callable[[], ir.Value]) -> Iterator[None]:
        """Repeat the block as long as the condition, emitted anew, holds."""
        head, body, end = (self.function.append_basic_block(n) for n in ("head", "loop", "end"))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        self.builder.cbranch(condition(), body, end)
        self.builder.position_at_end(body)
        yield
        self.builder.branch(head)
        self.builder.position_at_end(end)

    @contextmanager
    def when(self, condition: ir.Value) -> Iterator[None]:
        """Run the block only if an i1 holds."""
        with self.builder.if_then(condition):
            yield
