"""Compiles every ONNX file of a folder and prints what came of it, as a Markdown table.

A file either compiles or is refused by a CompileError that says why. Any other exception is a
failure, and so is a refusal without a reason: the command then exits with 1.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

import spikec
from spikec.compiler.errors import CompileError
from spikec.runtime.compile import check_model

CALIBRATION_IMAGES = 4
FREE_LENGTH = 8
"""Length of an axis that the file leaves open."""
EXAMPLE = """\
example:
  python models/benchmarks/zoo.py ~/networks ~/networks/damaged
"""


@dataclass(frozen=True)
class Outcome:
    """What came of one file.

    Attributes:
        result: "compiles", "refused" or "FAILED".
        error: Name of the error's class.
        node: That it speaks of.
        op: Operator of that node.
        reason: First line of the message, or the size of the program.
    """

    result: str
    error: str = ""
    node: str = ""
    op: str = ""
    reason: str = ""


def calibration(file: Path) -> np.ndarray:
    """Random inputs of the file's input shape; of some shape where the file cannot be read."""
    generator = np.random.default_rng(0)
    try:
        graph = onnx.load(file, load_external_data=False).graph
    except (DecodeError, OSError):
        return generator.random((CALIBRATION_IMAGES, 1, FREE_LENGTH, FREE_LENGTH), np.float32)
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    axes = inputs[0].type.tensor_type.shape.dim if inputs else ()
    shape = [axis.dim_value or FREE_LENGTH for axis in axes][1:]
    return generator.random((CALIBRATION_IMAGES, *shape), np.float32)


def outcome(file: Path) -> Outcome:
    """Check the file, then compile it with T = 2, φ = 4."""
    inputs = calibration(file)
    try:
        findings = check_model(file, input_shape=inputs.shape[1:])
        program = spikec.compile(file, inputs, timesteps=2, phi=4)
    except CompileError as error:
        return refused(error, len(findings))
    except Exception as error:
        traceback.print_exc()
        return Outcome("FAILED", type(error).__name__, reason=first_line(error))
    if findings:
        return refused(findings[0], len(findings), "FAILED")
    return Outcome("compiles", reason=f"{len(program.populations)} populations")


def refused(error: CompileError, findings: int, result: str = "refused") -> Outcome:
    """The outcome that this error is; ``findings`` are what the check had found."""
    where = error.where
    more = f" ({findings} findings)" if findings > 1 else ""
    result = result if error.problem else "FAILED"
    return Outcome(
        result, type(error).__name__, where.node or "", where.op or "", error.problem + more
    )


def first_line(error: Exception) -> str:
    """Of its message."""
    return next(iter(str(error).splitlines()), "")


def main() -> None:
    """Print a row per file and the totals."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path, help="folders of .onnx files, or files")
    files = [
        file
        for path in parser.parse_args().paths
        for file in (sorted(path.glob("*.onnx")) if path.is_dir() else [path])
    ]
    results: Counter[str] = Counter()
    print("| file | result | error | node | operator | reason | s |\n|---|---|---|---|---|---|---|")
    for file in files:
        begin = time.perf_counter()
        found = outcome(file)
        seconds = time.perf_counter() - begin
        results[found.result] += 1
        columns = (found.result, found.error, found.node, found.op, found.reason)
        cells = " | ".join(text.replace("|", "\\|") for text in (file.name, *columns))
        print(f"| {cells} | {seconds:.1f} |", flush=True)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    totals = ", ".join(f"{count} {result}" for result, count in sorted(results.items()))
    print(f"\n{len(files)} files: {totals}; peak memory {megabytes:.0f} MB")
    sys.exit(1 if results["FAILED"] or not files else 0)


if __name__ == "__main__":
    main()
