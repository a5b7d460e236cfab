"""Pairs: two int8 weights in one int16 word, added without being taken apart.

Widening int8 weights to 16 bits costs as much as adding them. A word w = 256·o + e, of the weight o
of one channel and the weight e of another, needs no widening: the sum A of all words and the sum O
of all o give the sum of all e as A − 256·O, exactly, since all is taken modulo 2^16 and the sums
fit. o itself is one instruction away: it is w / 256, rounded, because |e| ≤ 127, and that is what
pmulhrsw(w, 128) = (128·w + 2^14) >> 15 computes. For two vectors of channels that makes three
operations of the vector units, where widening and adding takes four.

In a tile the first vector of a pair holds A and the second one O; so the second one is plain.
"""

from __future__ import annotations

from llvmlite import ir

from spikec.backends.simulator.events.emit import Code

INSTRUCTIONS = {
    32: ("avx512bw", "llvm.x86.avx512.pmul.hr.sw.512"),
    16: ("avx2", "llvm.x86.avx2.pmul.hr.sw"),
    8: ("ssse3", "llvm.x86.ssse3.pmul.hr.sw.128"),
}
"""The processor's feature, and LLVM's name of the instruction, by words per vector."""


def high_bytes(code: Code, words: ir.Value) -> ir.Value:
    """O of each word, a vector of i16."""
    module, kind = code.builder.module, words.type
    _, name = INSTRUCTIONS[int(kind.count)]
    if name not in module.globals:
        ir.Function(module, ir.FunctionType(kind, [kind, kind]), name)
    return code.builder.call(module.globals[name], [words, code.constant(kind, 128)])


def first_of_pair(code: Code, first: ir.Value, second: ir.Value) -> ir.Value:
    """The sums of the first vector's channels, from A and O."""
    eight = code.constant(second.type, 8)
    return code.builder.sub(first, code.builder.shl(second, eight))


def added_to_pair(code: Code, first: ir.Value, second: ir.Value) -> tuple[ir.Value, ir.Value]:
    """What to add to A and to O for terms of both vectors' channels."""
    eight = code.constant(second.type, 8)
    return code.builder.add(first, code.builder.shl(second, eight)), second
