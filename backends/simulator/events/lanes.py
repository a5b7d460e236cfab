"""Vectors as a whole: the sum over their lanes, the smaller and the larger of two."""

from __future__ import annotations

from llvmlite import ir

from spikec.backends.simulator.events.emit import Code


def lane_sum(code: Code, terms: ir.Value) -> ir.Value:
    """The wrapping sum over the lanes of a vector of integers, of their type."""
    kind, module = terms.type, code.builder.module
    name = f"llvm.vector.reduce.add.v{kind.count}{kind.element}"
    if name not in module.globals:
        ir.Function(module, ir.FunctionType(kind.element, [kind]), name)
    return code.builder.call(module.globals[name], [terms])


def smaller(code: Code, left: ir.Value, right: ir.Value) -> ir.Value:
    """The smaller number of two vectors, lane by lane; none of them is NaN."""
    return code.builder.select(_below(code, left, right), left, right)


def larger(code: Code, left: ir.Value, right: ir.Value) -> ir.Value:
    """The larger number of two vectors, lane by lane; none of them is NaN."""
    return code.builder.select(_below(code, right, left), left, right)


def within(code: Code, values: ir.Value, limit: ir.Value) -> ir.Value:
    """Values clipped to ±limit, lane by lane."""
    return larger(code, smaller(code, values, limit), code.builder.neg(limit))


def _below(code: Code, left: ir.Value, right: ir.Value) -> ir.Value:
    if isinstance(left.type.element, ir.IntType):
        return code.builder.icmp_signed("<", left, right)
    return code.builder.fcmp_ordered("<", left, right)
