"""Fire: one step of the adafire neurons of a block of channels.

Integration takes the current I and computes u = v + I + b, v = clip(u, ±vmax). Firing computes

    n = clip(⌊v/θ⌋, lo, φ) and v = v − n·θ, lo = 0 | −min(φ, C) | −φ,

without a division of integers: an estimate q of the quotient, never above it and never more than
one below it, is clamped to lo … φ − 1, then the rest r = v − q·θ decides: n = q + (r ≥ θ).

* Where ⌊v/θ⌋ < lo, q = lo and r < 0: n = lo. Where ⌊v/θ⌋ ≥ φ, q = φ − 1 and r ≥ θ: n = φ.
  Otherwise q is ⌊v/θ⌋ or one less, and r tells which.
* r lies between 0 and v, or in 0 … 2θ − 1: it fits whenever v and 2θ do. q·θ may wrap, r not.
* ``unit`` (φ = 1, plain) has lo = q = 0: a comparison is all that is left.

The estimate is q = trunc(clamp(x + s − 2^−12)) − s with x = v·(1/θ) in float32 and s = φ, or 0
where lo = 0, so that what is truncated is not negative. With t = v/θ exact: v, θ, 1/θ and the
product are rounded, thus |x − t| ≤ |t|·4.001·2^−24 < 1.001·2^−14 where |t| ≤ 256; the sum is at
most 512 and rounded by at most 2^−16; together less than 2^−13. So the truncated number lies in
t + s − 2^−12 ± 2^−13: below t + s, and less than one below. Beyond ±φ the clamp decides, and the
error, relative to t, leaves x beyond ±φ(1 − 2^−21).

``extended`` allows 32 bits: u is computed in 64, x in float64 with + 2^−33 in place of − 2^−12.
There the errors of x and of the sum stay below 2^−43, while a quotient that is no integer lies at
least 1/θ > 2^−31 below the next: q = ⌊v/θ⌋, and r < θ fits unless the clamp made q smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from spikec.backends.simulator.events.current import Current, Driven
from spikec.backends.simulator.events.emit import I32, I64, Code, symbol, vector
from spikec.backends.simulator.events.lanes import lane_sum, larger, smaller, within
from spikec.backends.simulator.events.output import Output
from spikec.backends.simulator.events.sweep import Place, Sweep

GUARD = 2**30
"""Currents beyond it are as good as it, if vmax and |b| are less than a quarter of it."""


@dataclass(frozen=True)
class Fire(Driven):
    """Integrates, fires, or both.

    Unless ``extended``: 0 < θ < 2^30 and |v + I + b| < 2^31, or ``guarded`` and vmax, |b| < 2^28.
    With it: 0 < θ < 2^31, every sum is allowed if ``clip``, and |v + I + b| < 2^31 without. Always
    vmax < 2^31, |b| < 2^31 and 1 ≤ φ ≤ 255; C, the running total of retract, is never negative.

    Operands, those that exist: ``narrow``, ``wide``, ``constant`` (see Driven); ``membrane`` and
    ``total``, int32 [pixel][block]; ``threshold`` and ``bias``, int32 [1 or pixel][block];
    ``bits`` and ``payloads``, the population's; ``saturations``, an int64 that the number of
    clipped neurons is added to.

    Attributes:
        rule: The firing rule: "plain", "retract" or "signed".
        unit: φ = 1 and the rule is plain.
        payload: Bits of the stored payloads, 8 or 16; 0: only bits are stored.
        clip: v is clipped; otherwise it is proved to stay within ±vmax. Only if it integrates.
        integrates: False for the steps at which a windowed population releases its spikes; there
            is no current then.
        emits: False for the steps at which a windowed population integrates.
        extended: Larger potentials and thresholds.
        per_channel: Threshold and bias are per channel, [1][block].
        guarded: Any current is allowed: beyond ±2^30 it takes v to ±vmax whatever it is.
    """

    rule: str
    unit: bool
    payload: int
    clip: bool
    integrates: bool
    emits: bool
    extended: bool
    per_channel: bool
    guarded: bool = False

    @property
    def name(self) -> str:
        """The kernel's symbol."""
        return symbol(self)

    @property
    def remembers(self) -> bool:
        """Whether there is a running total."""
        return self.emits and self.rule == "retract"

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands."""
        exists = {
            "membrane": True,
            "total": self.remembers,
            "threshold": self.emits,
            "bias": self.integrates,
            "bits": self.emits,
            "payloads": self.emits and self.payload > 0,
            "saturations": self.clip,
        }
        return (*self.accumulators, *(name for name, there in exists.items() if there))

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the numbers: φ, vmax, rows and columns of the map, and bytes per row or pixel.

        ``threshold_pixel`` and ``bias_pixel`` are 0 for a parameter per channel.
        """
        apart = ("bits", "payloads", *(() if self.per_channel else ("threshold", "bias")))
        pixels = (f"{name}_pixel" for name in apart if name in self.operands)
        return ("rows", "columns", "phi", "vmax", *self.pitches, *pixels)

    def emit(self, module: ir.Module) -> None:
        """Add the kernel to a module."""
        code = Code(module, self.name, self.operands, self.scalars)
        sweep = Sweep(code, self.lanes, self.vectors)
        neurons = Neurons(code, self, sweep)
        rows, columns = code.number("rows"), code.number("columns")
        with sweep.groups() as channels:
            firsts = (Place(I64(0), I64(0), I64(0), channel) for channel in channels)
            shared = [neurons.parameters(first) for first in firsts if self.per_channel]
            with sweep.pixels(rows, columns, channels) as places:
                own = shared or [neurons.parameters(place) for place in places]
                for place, parameters in zip(places, own, strict=True):
                    neurons.advance(place, parameters)
        neurons.finish()
        code.finish()


@dataclass(frozen=True)
class Parameters:
    """What a vector of neurons never changes.

    Attributes:
        threshold: θ, int32.
        inverse: 1/θ, rounded.
        bias: b, int32.
    """

    threshold: ir.Value | None
    inverse: ir.Value | None
    bias: ir.Value | None


class Neurons:
    """The code of a vector of neurons.

    Args:
        code: The kernel.
        spec: What it is to do.
        sweep: Its places.
    """

    def __init__(self, code: Code, spec: Fire, sweep: Sweep) -> None:
        self.code = code
        self.spec = spec
        self.sweep = sweep
        self.current = Current(code, spec, sweep)
        self.output = Output(code, sweep, spec.payload)
        self.base = {name: code.address(name) for name in spec.operands}
        self.kind = vector(I32, spec.lanes)
        self.real = vector(ir.DoubleType() if spec.extended else ir.FloatType(), spec.lanes)
        self.phi = code.builder.trunc(code.number("phi"), I32)
        self.vmax = code.builder.trunc(code.number("vmax"), I32)
        self.saturated = code.variable(code.constant(self.kind, 0))

    def parameters(self, place: Place) -> Parameters:
        """Load the parameters of a place."""
        threshold = self._parameter("threshold", place)
        inverse = None
        if threshold is not None and not self.spec.unit:
            one = ir.Constant(self.real, [1.0] * self.spec.lanes)
            builder = self.code.builder
            inverse = builder.fdiv(one, builder.sitofp(threshold, self.real))
        return Parameters(threshold, inverse, self._parameter("bias", place))

    def _parameter(self, name: str, place: Place) -> ir.Value | None:
        if name not in self.base:
            return None
        pitch = I64(0) if self.spec.per_channel else self.code.number(f"{name}_pixel")
        address = self.sweep.strided(self.base[name], pitch, place, 32)
        return self.code.load(self.kind, address)

    def advance(self, place: Place, parameters: Parameters) -> None:
        """One step of the neurons of a place."""
        address = self.sweep.dense(self.base["membrane"], place, 4)
        v = self.code.load(self.kind, address)
        if self.spec.integrates:
            v = self._integrated(v, place, parameters)
        if self.spec.emits:
            v = self._fired(v, place, parameters)
        self.code.store(v, address)

    def finish(self) -> None:
        """Report the saturations."""
        if self.spec.clip:
            count = lane_sum(self.code, self.saturated.get())
            address = self.base["saturations"]
            before = self.code.load(I64, address)
            after = self.code.builder.add(before, self.code.builder.sext(count, I64))
            self.code.store(after, address)

    def _integrated(self, v: ir.Value, place: Place, parameters: Parameters) -> ir.Value:
        builder = self.code.builder
        wide = self.spec.extended and self.spec.clip
        kind = vector(I64, self.spec.lanes) if wide else self.kind
        for term in (self._current(place), parameters.bias):
            if term is not None:
                v = v if v.type == kind else builder.sext(v, kind)
                v = builder.add(v, builder.sext(term, kind) if wide else term)
        if not self.spec.clip:
            return v
        clipped = self._clipped(v)
        changed = builder.icmp_signed("!=", clipped, v)
        count = builder.sub(self.saturated.get(), builder.sext(changed, self.kind))
        self.saturated.set(count)
        return builder.trunc(clipped, self.kind) if wide else clipped

    def _current(self, place: Place) -> ir.Value | None:
        current = self.current.take(place)
        if current is None or not self.spec.guarded:
            return current
        return within(self.code, current, self.code.constant(self.kind, GUARD))

    def _clipped(self, v: ir.Value) -> ir.Value:
        top = self.vmax if v.type == self.kind else self.code.builder.sext(self.vmax, I64)
        return within(self.code, v, self.code.splat(top, self.spec.lanes))

    def _fired(self, v: ir.Value, place: Place, parameters: Parameters) -> ir.Value:
        builder, none = self.code.builder, self.code.constant(self.kind, 0)
        estimate = None if self.spec.unit else self._estimate(v, place, parameters)
        if estimate is not None:
            v = builder.sub(v, builder.mul(estimate, parameters.threshold))
        more = builder.icmp_signed(">=", v, parameters.threshold)
        v = builder.sub(v, builder.select(more, parameters.threshold, none))
        n = None if estimate is None else builder.sub(estimate, builder.sext(more, self.kind))
        self._send(place, more, n)
        return v

    def _estimate(self, v: ir.Value, place: Place, parameters: Parameters) -> ir.Value:
        """Q of the module's text."""
        builder, lanes = self.code.builder, self.spec.lanes
        signed = self.spec.rule != "plain"
        phi = builder.sitofp(self.phi, self.real.element)
        shift = phi if signed else self.real.element(0.0)
        margin = self.real.element(2.0**-33 if self.spec.extended else -(2.0**-12))
        x = builder.fmul(builder.sitofp(v, self.real), parameters.inverse)
        x = builder.fadd(x, self.code.splat(builder.fadd(shift, margin), lanes))
        last = builder.fsub(builder.fadd(phi, shift), self.real.element(1.0))
        x = smaller(self.code, x, self.code.splat(last, lanes))
        x = larger(self.code, x, ir.Constant(self.real, [0.0] * lanes))
        estimate = builder.fptosi(x, self.kind)
        if not signed:
            return estimate
        estimate = builder.sub(estimate, self.code.splat(self.phi, lanes))
        return self._bounded(estimate, place) if self.spec.remembers else estimate

    def _bounded(self, estimate: ir.Value, place: Place) -> ir.Value:
        """No more is taken back than was fired."""
        total = self.code.load(self.kind, self._total(place))
        return larger(self.code, estimate, self.code.builder.neg(total))

    def _total(self, place: Place) -> ir.Value:
        return self.sweep.dense(self.base["total"], place, 4)

    def _send(self, place: Place, fired: ir.Value, n: ir.Value | None) -> None:
        """Write what fired; without n it is worth 1."""
        builder = self.code.builder
        if n is None and not self.spec.payload:
            self.output.flag(place, fired)
            return
        n = builder.zext(fired, self.kind) if n is None else n
        if self.spec.remembers:
            total = self._total(place)
            self.code.store(builder.add(self.code.load(self.kind, total), n), total)
        self.output.send(place, n)
