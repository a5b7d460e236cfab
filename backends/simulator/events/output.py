"""Output: what a population sends, written as bits and payloads."""

from __future__ import annotations

from llvmlite import ir

from spikec.backends.simulator.events.emit import Code, vector
from spikec.backends.simulator.events.sweep import Place, Sweep


class Output:
    """The code that writes spikes.

    Args:
        code: A kernel with the operand ``bits`` and the scalar ``bits_pixel``, bytes from a pixel
            to the next; with ``payloads`` and ``payloads_pixel`` if there are payloads.
        sweep: Its places.
        payload: Bits of a payload, 8, 16 or 32; 0 if there are none.
    """

    def __init__(self, code: Code, sweep: Sweep, payload: int) -> None:
        self.code = code
        self.sweep = sweep
        self.payload = payload

    def send(self, place: Place, n: ir.Value) -> None:
        """Write n, int32."""
        builder = self.code.builder
        if self.payload:
            kind = vector(ir.IntType(self.payload), self.sweep.lanes)
            payload = n if kind == n.type else builder.trunc(n, kind)
            self.code.store(payload, self._address("payloads", place, self.payload))
        self.flag(place, builder.icmp_signed("!=", n, self.code.constant(n.type, 0)))

    def flag(self, place: Place, fired: ir.Value) -> None:
        """Write bits only, from booleans."""
        self.code.store_bits(fired, self._address("bits", place, 1))

    def _address(self, name: str, place: Place, bits: int) -> ir.Value:
        base, pitch = self.code.address(name), self.code.number(f"{name}_pixel")
        return self.sweep.strided(base, pitch, place, bits)
