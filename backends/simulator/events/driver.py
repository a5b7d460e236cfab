"""Driver: runs the kernels of a population over images, blocks of channels and steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from llvmlite import ir

from spikec.backends.simulator.events.emit import I1, I64, Code, symbol

PHASES = ("before", "fetch", "prepare", "start", "constant", "step", "release", "after")
"""Lists of a schedule, in its order."""

HEAD = 2 + len(PHASES)
"""Numbers of a schedule before its passes."""

PASS = 16
"""Bytes of a pass: the addresses of a kernel's function and of its arguments."""


@dataclass(frozen=True)
class Driver:
    """``void drive(i64 schedule, i64 first_image, i64 images, i64 first_step, i64 last_step)``.

    The schedule is an array of int64: the number of blocks, the most images that go together, the
    length of each list of PHASES, then the passes of all lists, each the address of a function and
    that of its arguments. Images are first_image … first_image + images − 1, steps first_step …
    last_step − 1. For every group of images that go together, in the order of each list:

    * for each image: ``before``, for each step, block 0: what all blocks need of the image;
    * for each block: ``fetch``, once, for the first image of the first group, and for each image:
      ``prepare``, for each step; ``start``, once, if first_step is 0; ``constant``, once;
      ``step``, for each step; ``release``, for each step; the second group and every other one
      behind it begin with the last block, whose weights are still cached;
    * for each image: ``after``, for each step, block 0: what needs all blocks.

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
        with schedule.groups() as group:
            with group.images() as image:
                schedule.run_steps("before", image, I64(0))
            with code.loop(schedule.blocks) as turn:
                block = _to_and_fro(code, schedule.blocks, turn, group.index)
                with code.when(code.builder.icmp_signed("==", group.index, I64(0))):
                    schedule.run("fetch", group.first, block, I64(0))
                with group.images() as image:
                    schedule.run_block(image, block)
            with group.images() as image:
                schedule.run_steps("after", image, I64(0))
        code.finish()


def _to_and_fro(code: Code, blocks: ir.Value, turn: ir.Value, index: ir.Value) -> ir.Value:
    """The block of a turn: from the first to the last for one group, and back for the next."""
    builder = code.builder
    back = builder.sub(builder.sub(blocks, I64(1)), turn)
    odd = builder.trunc(index, I1)
    return builder.select(odd, back, turn)


class DriverCode(Code):
    """A function with the parameters of a driver."""

    parameters: ClassVar[int] = 5


@dataclass(frozen=True)
class Group:
    """Images that go through the blocks together; numbers i64."""

    code: Code
    index: ir.Value
    first: ir.Value
    count: ir.Value

    @contextmanager
    def images(self) -> Iterator[ir.Value]:
        """Each image."""
        with self.code.loop(self.count) as index:
            yield self.code.builder.add(self.first, index)


class Schedule:
    """The code that runs lists of passes.

    Args:
        code: The driver.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self.schedule, *self.images, self.first_step, self.last_step = code.function.args
        self.blocks = self._number(self.schedule, 0)
        self.together = self._number(self.schedule, 8)
        self.lengths = {
            phase: self._number(self.schedule, 8 * place)
            for place, phase in enumerate(PHASES, start=2)
        }

    def _number(self, address: ir.Value, offset: int) -> ir.Value:
        return self.code.load(I64, self.code.at(address, offset))

    @contextmanager
    def groups(self) -> Iterator[Group]:
        """Each group of images; the last one may be smaller."""
        builder, (first, images) = self.code.builder, self.images
        spare = builder.add(images, builder.sub(self.together, I64(1)))
        with self.code.loop(builder.sdiv(spare, self.together)) as index:
            done = builder.mul(index, self.together)
            left = builder.sub(images, done)
            fewer = builder.icmp_signed("<", left, self.together)
            count = builder.select(fewer, left, self.together)
            yield Group(self.code, index, builder.add(first, done), count)

    def run_block(self, image: ir.Value, block: ir.Value) -> None:
        """All that an image does for a block."""
        self.run_steps("prepare", image, block)
        with self.code.when(self.code.builder.icmp_signed("==", self.first_step, I64(0))):
            self.run("start", image, block, I64(0))
        self.run("constant", image, block, I64(0))
        self.run_steps("step", image, block)
        self.run_steps("release", image, block)

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
