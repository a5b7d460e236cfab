"""What spikec says when it cannot go on: subject, actual value, limit, way out.

CompileError(problem, where, hint)
├── ModelFileError       the model file: missing, not ONNX, truncated, data outside its folder
├── UnsupportedOpError   an operator, or this use of it
├── UnsupportedModelError  several of these at once, each with its node
├── ShapeError           shapes or types of tensors disagree
├── CalibrationError     the calibration inputs
├── OptionError          an option outside its range
├── InvariantError       a pass broke, or did not find, what was promised
├── BoundError           a current that cannot be proved to fit
├── ProgramError         a program that breaks the integer contract
├── ProgramFileError     a program file: missing, foreign, damaged, newer
├── InputError           inputs, labels or images given to a run
└── OutputFileError      a file that cannot be written
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Where:
    """The place that an error speaks of; every part may be absent.

    Attributes:
        node: Name of a graph node, population or connection.
        op: ONNX operator type of that node.
        file: Path of the file that was read or written.
    """

    node: str | None = None
    op: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        subject = " ".join(
            part for part in (self.op, f"'{self.node}'" if self.node else None) if part
        )
        return ": ".join(part for part in (self.file, subject) if part)


class CompileWarning(UserWarning):
    """What the user of a program that could be compiled should know of it."""


class CompileError(Exception):
    """Root of all errors that a user can cause.

    Attributes:
        problem: One sentence: what is wrong with the actual values, and the limit.
        where: File, node and operator.
        hint: The way out; empty if there is none.
    """

    def __init__(self, problem: str, where: Where | None = None, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where or Where()
        self.hint = hint

    def in_file(self, file: str) -> CompileError:
        """The same error, with the file named if it was not."""
        if self.where.file is None:
            self.where = Where(self.where.node, self.where.op, file)
        return self

    def __str__(self) -> str:
        lines = [": ".join(part for part in (str(self.where), self.problem) if part)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        lines.extend(f"  {note}" for note in getattr(self, "__notes__", ()))
        return "\n".join(lines)


class ModelFileError(CompileError):
    """The model file is missing, not ONNX, truncated, or points outside its folder."""


class UnsupportedOpError(CompileError):
    """An operator, or this use of it, cannot be converted."""


class UnsupportedModelError(CompileError):
    """Several nodes cannot be converted; ``findings`` names each of them.

    Attributes:
        findings: One error per node, in graph order.
    """

    def __init__(self, findings: Sequence[CompileError]) -> None:
        first = findings[0]
        super().__init__(first.problem, first.where, first.hint)
        self.findings = tuple(findings)

    def in_file(self, file: str) -> CompileError:
        """The same error, with the file named in it and in every finding."""
        for finding in self.findings:
            finding.in_file(file)
        return super().in_file(file)

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self.findings)


class ShapeError(CompileError):
    """Shapes or types of tensors disagree."""


class CalibrationError(CompileError):
    """The calibration inputs cannot be used."""


class OptionError(CompileError):
    """An option lies outside its range, or two options contradict each other."""


class InvariantError(CompileError):
    """A pass broke, or did not find, what was promised."""


class BoundError(CompileError):
    """A current or membrane potential cannot be proved to fit its width."""


class ProgramError(CompileError):
    """A program breaks the integer contract."""


class ProgramFileError(CompileError):
    """A program file is missing, foreign, damaged or newer than this version."""


class InputError(CompileError):
    """Inputs, labels or images given to a run cannot be used."""


class OutputFileError(CompileError):
    """A file cannot be written."""
