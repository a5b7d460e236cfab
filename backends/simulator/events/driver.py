"""Driver: runs the kernels of a population over images, blocks of channels and steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

from spikec.backends.simulator.events.emit import I1, I64, Code, symbol

PHASES = ("before", "prepare", "start", "constant", "step", "release", "after")
"""Lists of a schedule, in its order."""

HEAD = 1 + len(PHASES)
"""Numbers of a schedule before its passes."""

PASS = 16
"""Bytes of a pass: the addresses of a kernel's function and of its arguments."""


@dataclass(frozen=True)
class Driver:
    """``void drive(i64 schedule, i64 first_image, i64 images, i64 first_step, i64 last_step)``.

    The schedule is an array of int64: the number of blocks, the length of each list of PHASES,
    then the passes of all lists, each the address of a function and that of its arguments.
    Images are first_image … first_image + images − 1, steps first_step … last_step − 1. For every
    image, in the order of each list:

    * ``before``, for each step, block 0: what all blocks need of the image;
    * for each block: ``prepare``, for each step; ``start``, once, if first_step is 0;
      ``constant``, once; ``step``, for each step; ``release``, for each step; the second image
      and every other one behind it begin with the last block, whose weights are still cached;
    * ``after``, for each step, block 0: what needs all blocks.

    Passes that run once see step 0.
    """

    @property
    def name(self) -> str:
        """The function's symbol."""
        return symbol(self)

    def emit(self, module: ir.Module) -> None:
        """Add the function to a module."""
        code = DriverCode(module, self.name, (), ())
        schedule = Schedule(code)
        _, first, images, first_step, _ = code.function.args
        with code.loop(images) as index:
            image = code.builder.add(first, index)
            schedule.run_steps("before", image, I64(0))
            with code.loop(schedule.blocks) as turn:
                block = _to_and_fro(code, schedule.blocks, turn, index)
                schedule.run_steps("prepare", image, block)
                with code.when(code.builder.icmp_signed("==", first_step, I64(0))):
                    schedule.run("start", image, block, I64(0))
                schedule.run("constant", image, block, I64(0))
                schedule.run_steps("step", image, block)
                schedule.run_steps("release", image, block)
            schedule.run_steps("after", image, I64(0))
        code.finish()


def _to_and_fro(code: Code, blocks: ir.Value, turn: ir.Value, index: ir.Value) -> ir.Value:
    """The block of a turn: from the first to the last for one image, and back for the next."""
    builder = code.builder
    back = builder.sub(builder.sub(blocks, I64(1)), turn)
    odd = builder.trunc(index, I1)
    return builder.select(odd, back, turn)


class DriverCode(Code):
    """A function with the parameters of a driver."""

    parameters: ClassVar[int] = 5


class Schedule:
    """The code that runs lists of passes.

    Args:
        code: The driver.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self.schedule, _, _, self.first_step, self.last_step = code.function.args
        self.blocks = self._number(self.schedule, 0)
        self.lengths = {
            phase: self._number(self.schedule, 8 * place)
            for place, phase in enumerate(PHASES, start=1)
        }

    def _number(self, address: ir.Value, offset: int) -> ir.Value:
        return self.code.load(I64, self.code.at(address, offset))

    def run_steps(self, phase: str, image: ir.Value, block: ir.Value) -> None:
        """At every step, all passes of a list."""
        builder = self.code.builder
        with (
            self.code.when(builder.icmp_signed("!=", self.lengths[phase], I64(0))),
            self._steps() as step,
        ):
            self.run(phase, image, block, step)

    @contextmanager
    def _steps(self) -> Iterator[ir.Value]:
        builder = self.code.builder
        with self.code.loop(builder.sub(self.last_step, self.first_step)) as index:
            yield builder.add(self.first_step, index)

    def run(self, phase: str, image: ir.Value, block: ir.Value, step: ir.Value) -> None:
        """All passes of a list, once."""
        builder = self.code.builder
        first = self.code.at(self.schedule, 8 * HEAD)
        for before in PHASES[: PHASES.index(phase)]:
            first = self.code.at(first, builder.mul(self.lengths[before], I64(PASS)))
        with self.code.loop(self.lengths[phase]) as index:
            entry = self.code.at(first, builder.mul(index, I64(PASS)))
            kernel = builder.inttoptr(self._number(entry, 0), _kernel_pointer())
            builder.call(kernel, (self._number(entry, 8), image, block, step))


def _kernel_pointer() -> ir.PointerType:
    """An opaque pointer; only llvmlite has to know that it leads to a kernel."""
    kind = ir.PointerType()
    kind.pointee = ir.FunctionType(ir.VoidType(), [I64] * Code.parameters)
    return kind
