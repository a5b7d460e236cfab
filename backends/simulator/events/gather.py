"""Gather: what a population sends, put elsewhere: flatten, transpose, slice, pad, upsample."""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from spikec.backends.simulator.events.emit import I8, I32, I64, Code, Variable, symbol, vector

TOGETHER = 8
"""Outputs that are made at a time: a byte of bits."""


@dataclass(frozen=True)
class Gather:
    """Output i is element ``indices[i]`` of the source, or 0 where the index is −1.

    Eight neighbours that come from eight neighbours (bits: of one byte) are copied as a whole.

    Operands: ``source_bits`` or, if there are payloads, ``source_payloads``, elements [pixel]
    [channel] without gaps; ``indices``, int32 [output]; ``bits``, and ``payloads`` of the
    source's type if there are payloads, without gaps. Scalar: number of ``outputs``, a multiple
    of 8.

    Attributes:
        payload: Bits of the payloads, 8, 16 or 32; 0 if there are none.
    """

    payload: int

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands."""
        graded = ("source_payloads", "indices", "bits", "payloads")
        return graded if self.payload else ("source_bits", "indices", "bits")

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the numbers."""
        return ("outputs",)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        moved = Payloads(code, self.payload) if self.payload else Bits(code)
        groups = code.builder.lshr(code.number("outputs"), I64(TOGETHER.bit_length() - 1))
        with code.loop(groups) as group:
            first = code.builder.mul(group, I64(4 * TOGETHER))
            place = code.at(code.address("indices"), first)
            indices = code.load(vector(I32, TOGETHER), place)
            start = code.builder.extract_element(indices, I32(0))
            together = code.builder.and_(_in_a_row(code, indices), moved.copied_from(start))
            with code.builder.if_else(together, likely=True) as (whole, apart):
                with whole:
                    moved.copy(code.builder.sext(start, I64))
                with apart:
                    moved.collect(indices)
            moved.write(group)
        code.finish()


class Bits:
    """The code that moves eight bits.

    Args:
        code: The kernel.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self.byte = code.variable(I8(0))

    def copied_from(self, start: ir.Value) -> ir.Value:
        """Whether the eight bits from an index on are one byte; not if it is −1."""
        builder = self.code.builder
        return builder.icmp_signed("==", builder.and_(start, I32(7)), I32(0))

    def copy(self, start: ir.Value) -> None:
        """Take the byte that begins at an index."""
        self.byte.set(self._byte(self.code.builder.lshr(start, I64(3))))

    def collect(self, indices: ir.Value) -> None:
        """Take each bit from its byte."""
        code, builder = self.code, self.code.builder
        there, found = _existing(code, indices)
        bytes_ = code.variable(code.constant(vector(I8, TOGETHER), 0))
        for lane in range(TOGETHER):
            index = builder.zext(builder.extract_element(found, I32(lane)), I64)
            byte = self._byte(builder.lshr(index, I64(3)))
            bytes_.set(builder.insert_element(bytes_.get(), byte, I32(lane)))
        number = builder.trunc(builder.and_(found, code.constant(found.type, 7)), _kind(8))
        chosen = builder.shl(code.constant(_kind(8), 1), number)
        hit = builder.and_(bytes_.get(), chosen)
        fired = builder.icmp_signed("!=", hit, code.constant(hit.type, 0))
        self.byte.set(builder.bitcast(builder.and_(fired, there), I8))

    def _byte(self, number: ir.Value) -> ir.Value:
        return self.code.load(I8, self.code.at(self.code.address("source_bits"), number))

    def write(self, group: ir.Value) -> None:
        """Write the byte."""
        self.code.store(self.byte.get(), self.code.at(self.code.address("bits"), group))


class Payloads:
    """The code that moves eight payloads.

    Args:
        code: The kernel.
        payload: Their bits.
    """

    def __init__(self, code: Code, payload: int) -> None:
        self.code = code
        self.size = payload // 8
        self.kind = _kind(payload)
        self.values: Variable = code.variable(code.constant(self.kind, 0))

    def copied_from(self, start: ir.Value) -> ir.Value:
        """Whether there is a payload at an index."""
        return self.code.builder.icmp_signed(">=", start, I32(0))

    def copy(self, start: ir.Value) -> None:
        """Take the payloads that begin at an index."""
        self.values.set(self._load(self.kind, start))

    def collect(self, indices: ir.Value) -> None:
        """Take each payload from its place."""
        code, builder = self.code, self.code.builder
        there, found = _existing(code, indices)
        self.values.set(code.constant(self.kind, 0))
        for lane in range(TOGETHER):
            index = builder.zext(builder.extract_element(found, I32(lane)), I64)
            value = self._load(self.kind.element, index)
            self.values.set(builder.insert_element(self.values.get(), value, I32(lane)))
        none = code.constant(self.kind, 0)
        self.values.set(builder.select(there, self.values.get(), none))

    def _load(self, kind: ir.Type, index: ir.Value) -> ir.Value:
        offset = self.code.builder.mul(index, I64(self.size))
        return self.code.load(kind, self.code.at(self.code.address("source_payloads"), offset))

    def write(self, group: ir.Value) -> None:
        """Write the payloads and their bits."""
        code, values = self.code, self.values.get()
        offset = code.builder.mul(group, I64(self.size * TOGETHER))
        code.store(values, code.at(code.address("payloads"), offset))
        fired = code.builder.icmp_signed("!=", values, code.constant(self.kind, 0))
        code.store_bits(fired, code.at(code.address("bits"), group))


def _kind(width: int) -> ir.VectorType:
    return vector(ir.IntType(width), TOGETHER)


def _in_a_row(code: Code, indices: ir.Value) -> ir.Value:
    """Whether every index is one more than the index before, i1."""
    builder = code.builder
    steps = ir.Constant(indices.type, list(range(TOGETHER)))
    start = builder.extract_element(indices, I32(0))
    follows = builder.icmp_signed("==", indices, builder.add(code.splat(start, TOGETHER), steps))
    return builder.icmp_signed("==", builder.bitcast(follows, I8), I8(-1))


def _existing(code: Code, indices: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Whether there is an element at an index; the index, or 0 where there is none."""
    none = code.constant(indices.type, 0)
    there = code.builder.icmp_signed(">=", indices, none)
    return there, code.builder.select(there, indices, none)
