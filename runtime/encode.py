"""Model inputs → input integers; read-out potentials → outputs, classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikec.compiler.arrays import Array, Float32, Int64, Integers
from spikec.compiler.encoding import input_integers
from spikec.compiler.errors import InputError, Where
from spikec.compiler.populations import Coding
from spikec.compiler.program import Program, TailOp
from spikec.compiler.softmax import log_softmax
from spikec.runtime.preprocess import Raw, check_numeric, preprocess


def model_inputs(program: Program, raw: Raw, first: int = 0) -> Float32:
    """What the model reads, float32 (images, *input shape): raw inputs after preprocessing.

    Args:
        program: Its preprocessing, if any, is applied.
        raw: A batch.
        first: Number of its first image, for errors.

    Raises:
        InputError: Type, shape or values do not fit; names the input population.
    """
    try:
        if program.preprocessing is not None:
            inputs = preprocess(raw, program.preprocessing)
        else:
            inputs = _as_one_array(raw)
        _check(program, inputs, first)
    except InputError as error:
        if error.where.node is None:
            error.where = Where(program.input.name, file=error.where.file)
        raise
    return inputs


def quantise(program: Program, inputs: Array) -> Integers:
    """Input integers of what the model reads; see ``input_integers``.

    Args:
        program: Its input population says gain, offset, scale and bits.
        inputs: (images, *shape), or (images, T, *shape) for an event stream; finite.

    Returns:
        int8 for up to 8 bits, else int16; shape of ``inputs``.
    """
    _check(program, inputs)
    return input_integers(program.input, inputs)


def decode(program: Program, potentials: Int64, step: int) -> Float32:
    """Mean outputs v·scale/t after step t, float32, shape of ``potentials``.

    Args:
        program: Its read-out says the scale.
        potentials: v of the read-out after step t, (images, *shape).
        step: t, 1…T.
    """
    mean: Float32 = (potentials * program.readout.scale / step).astype(np.float32)
    return mean


def decode_steps(program: Program, readout: Int64) -> Float32:
    """Mean outputs after every step, float32, from v of all steps, (images, T, *shape)."""
    steps = [decode(program, readout[:, t], t + 1) for t in range(readout.shape[1])]
    return np.stack(steps, axis=1)


def tail(program: Program, outputs: Float32) -> Array:
    """What the model itself returns: the mean outputs after the program's host operators.

    Args:
        program: Its tail lists the operators.
        outputs: (images, *read-out shape).
    """
    result: Array = outputs
    for op in program.tail:
        result = _apply(op, result)
    return result


def class_scores(program: Program, outputs: Array) -> Array | None:
    """One score per class, (images, classes); None if the program does not classify.

    A program classifies if its output has one axis at most that is longer than 1. A single output
    x becomes the two scores 0 and x: class 1 where x > 0.

    Args:
        program: Its read-out says the shape.
        outputs: (images, …, *read-out shape); leading axes are kept.
    """
    shape = program.readout.shape
    if sum(length > 1 for length in shape) > 1:
        return None
    lead = outputs.shape[: outputs.ndim - len(shape)]
    flat = outputs.reshape(*lead, -1)
    return np.concatenate([np.zeros_like(flat), flat], axis=-1) if flat.shape[-1] == 1 else flat


def _as_one_array(raw: Raw) -> Array:
    if isinstance(raw, np.ndarray):
        return raw
    raise InputError(
        "images are given, and the program stores no preprocessing for them",
        hint="compile it with --layout, --scale, --mean, --std as the model was trained",
    )


def _check(program: Program, inputs: Array, first: int = 0) -> None:
    population = program.input
    where = Where(population.name)
    frames = population.coding is Coding.FRAMES
    expected: Sequence[int] = (program.timesteps, *population.shape) if frames else population.shape
    check_numeric(inputs, "the input array")
    if inputs.shape[1:] != tuple(expected):
        wanted = ", ".join(("images", *map(str, expected)))
        hint = "check the array's name, and --layout, --resize and --crop"
        if inputs.shape == tuple(expected):
            hint = "add a batch axis: inputs[np.newaxis]"
        raise InputError(f"inputs have shape {inputs.shape}, expected ({wanted})", where, hint)
    if len(inputs) == 0:
        raise InputError("there are no images: the batch axis has length 0", where)
    if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
        finite = np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)
        raise InputError(
            f"image {first + int(np.argmin(finite))} holds NaN or infinity",
            where,
            "remove such images",
        )


def _apply(op: TailOp, values: Array) -> Array:
    axis = op.axis + 1 if op.axis >= 0 else op.axis
    match op.op:
        case "Softmax":
            return np.exp(log_softmax(values, axis))
        case "LogSoftmax":
            return log_softmax(values, axis)
        case "Sigmoid":
            # tanh form: no overflow at large negative values
            return (0.5 * (1 + np.tanh(0.5 * values))).astype(values.dtype)
        case "ArgMax":
            classes: Array = np.argmax(values, axis=axis, keepdims=op.keepdims)
            return classes
        case "Reshape":
            return values.reshape(len(values), *op.shape)
        case _:
            raise InputError(f"the host does not know the tail operator {op.op}", Where(op=op.op))
