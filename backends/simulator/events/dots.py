"""Dots: products of 8-bit weights and payloads of 16 bits, added up in 32 bits.

Multiplying lanes of 32 bits takes two operations of the vector units. pmaddwd, which multiplies
halves of 16 bits and adds each two products, is one; with the payload in the lower halves and zeros
in the upper ones it gives the product. Where the processor can, LLVM makes one instruction of it
and the addition behind it (vpdpwssd).
"""

from __future__ import annotations

from llvmlite import ir

from spikec.backends.simulator.events.emit import I8, I16, I32, Code, vector

FEATURE = "avx512bw"
"""What a processor needs."""

LANES = 32
"""Products at a time: two vectors of 512 bits."""

HALF = LANES // 2


def dot_products(code: Code, weights: ir.Value, payload: ir.Value) -> ir.Value:
    """w·n of LANES weights at an address, <32 x i32>.

    Args:
        code: The kernel; for a processor with FEATURE.
        weights: Address of the int8 weights.
        payload: n, i32, within 16 bits.
    """
    builder = code.builder
    low = builder.and_(payload, I32(0xFFFF))
    sent = builder.bitcast(code.splat(low, HALF), vector(I16, LANES))
    halves = []
    for first in (0, HALF):
        packed = code.load(vector(I8, HALF), code.at(weights, first))
        wide = builder.sext(packed, vector(I32, HALF))
        halves.append(_pairwise(code, builder.bitcast(wide, vector(I16, LANES)), sent))
    order = ir.Constant(vector(I32, LANES), list(range(LANES)))
    return builder.shuffle_vector(*halves, order)


def _pairwise(code: Code, left: ir.Value, right: ir.Value) -> ir.Value:
    name = "llvm.x86.avx512.pmaddw.d.512"
    module, kind = code.builder.module, vector(I16, LANES)
    if name not in module.globals:
        ir.Function(module, ir.FunctionType(vector(I32, HALF), [kind, kind]), name)
    return code.builder.call(module.globals[name], [left, right])
