"""Uses of every operator in the op table, as small models of opset 7 to 20."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx_models import floats, model, node, single

INT = np.int64


def cases() -> Iterator[tuple[str, onnx.ModelProto]]:
    """(operator, model that uses it)."""
    for op, found in (
        ("Conv", _conv()),
        ("ConvTranspose", _conv_transpose()),
        ("Gemm", _gemm()),
        ("MatMul", _matmul()),
        ("AveragePool", _average_pool()),
        ("MaxPool", _max_pool()),
    ):
        yield from ((op, case) for case in found)
    yield from _means()
    yield from _sums()
    yield from _activations()
    yield from _index_maps()
    yield from _concats()
    yield from _folded()
    yield from _tails()


def _conv() -> Iterator[onnx.ModelProto]:
    x, w, b = "x", floats(6, 4, 3, 3), floats(6)
    yield single("Conv", (4, 7, 6), (x, w))
    yield single("Conv", (4, 7, 6), (x, w, b), pads=[1, 0, 2, 1], strides=[2, 3])
    yield single("Conv", (4, 9, 8), (x, w, b), dilations=[2, 3], pads=[3, 2, 1, 0], opset=11)
    yield single("Conv", (4, 7, 6), (x, floats(6, 2, 3, 2), b), group=2, kernel_shape=[3, 2])
    yield single("Conv", (4, 7, 6), (x, floats(8, 1, 3, 3)), group=4, pads=[1, 1, 1, 1])
    yield single("Conv", (4, 9), (x, floats(6, 4, 4)), strides=[2], pads=[0, 3], dilations=[2])
    for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield single("Conv", (4, 7, 6), (x, floats(6, 4, 4, 3), b), auto_pad=mode, strides=[2, 3])
        yield single("Conv", (4, 8), (x, floats(2, 4, 2)), auto_pad=mode, strides=[3], opset=9)


def _conv_transpose() -> Iterator[onnx.ModelProto]:
    x, w, b = "x", floats(4, 3, 3, 2), floats(3)
    yield single("ConvTranspose", (4, 3, 4), (x, w))
    yield single("ConvTranspose", (4, 3, 4), (x, w, b), strides=[2, 3], pads=[1, 0, 0, 1])
    yield single("ConvTranspose", (4, 3, 4), (x, w, floats(6)), group=2, dilations=[2, 1])
    yield single("ConvTranspose", (4, 3, 4), (x, w), strides=[2, 2], output_padding=[1, 0])
    yield single("ConvTranspose", (4, 5), (x, floats(4, 2, 3)), strides=[2], opset=11)
    for mode in ("NOTSET", "SAME_UPPER", "SAME_LOWER"):
        yield single(
            "ConvTranspose", (4, 3, 4), (x, w), strides=[2, 3], output_shape=[6, 9], auto_pad=mode
        )
    for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield single("ConvTranspose", (4, 3, 4), (x, floats(4, 3, 3, 3)), auto_pad=mode)


def _gemm() -> Iterator[onnx.ModelProto]:
    yield single("Gemm", (5,), ("x", floats(5, 3), floats(3)))
    yield single("Gemm", (5,), ("x", floats(3, 5)), transB=1, opset=11)
    yield single("Gemm", (5,), ("x", floats(3, 5), floats(1, 3)), transB=1, alpha=0.5, beta=-2.0)
    yield single("Gemm", (5,), ("x", floats(5, 3), floats(1)), opset=7)


def _matmul() -> Iterator[onnx.ModelProto]:
    yield single("MatMul", (5,), ("x", floats(5, 3)))
    yield single("MatMul", (4, 5), ("x", floats(5, 3)))
    yield single("MatMul", (2, 4, 5), ("x", floats(1, 5, 3)))
    yield single("MatMul", (5, 4), (floats(3, 5), "x"))


def _average_pool() -> Iterator[onnx.ModelProto]:
    for include in (0, 1):
        for ceil in (0, 1):
            pool = {"count_include_pad": include, "ceil_mode": ceil}
            yield single("AveragePool", (2, 7, 8), kernel_shape=[3, 2], strides=[2, 3], **pool)
            yield single(
                "AveragePool",
                (2, 8, 6),
                kernel_shape=[3, 3],
                strides=[2, 2],
                pads=[1, 0, 1, 2],
                **pool,
            )
            yield single(
                "AveragePool", (2, 9), kernel_shape=[3], strides=[4], pads=[2, 2], **pool, opset=11
            )
        for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
            same = {"auto_pad": mode, "count_include_pad": include}
            yield single("AveragePool", (2, 6, 7), kernel_shape=[3, 2], strides=[2, 3], **same)
    yield single(
        "AveragePool", (1, 9, 9), kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 1, 0, 0], opset=20
    )


def _max_pool() -> Iterator[onnx.ModelProto]:
    yield single("MaxPool", (2, 7, 8), kernel_shape=[3, 2])
    yield single("MaxPool", (2, 7, 8), kernel_shape=[3, 2], strides=[2, 3], pads=[1, 0, 2, 1])
    for ceil in (0, 1):
        for strides in ([2, 2], [3, 4]):
            yield single(
                "MaxPool",
                (2, 8, 6),
                kernel_shape=[3, 2],
                strides=strides,
                pads=[0, 1, 2, 1],
                ceil_mode=ceil,
                opset=12,
            )
    yield single("MaxPool", (2, 9), kernel_shape=[2], dilations=[3], strides=[2])
    yield single("MaxPool", (2, 9, 8), kernel_shape=[2, 3], strides=[2, 2], storage_order=1)
    for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield single("MaxPool", (2, 7, 6), kernel_shape=[4, 3], strides=[2, 3], auto_pad=mode)


def _means() -> Iterator[tuple[str, onnx.ModelProto]]:
    yield "GlobalAveragePool", single("GlobalAveragePool", (3, 4, 5))
    yield "GlobalAveragePool", single("GlobalAveragePool", (3, 4))
    yield "ReduceMean", single("ReduceMean", (3, 4, 5), axes=[2, 3])
    yield "ReduceMean", single("ReduceMean", (3, 4, 5), axes=[-1, -2], keepdims=0, opset=11)
    yield "ReduceMean", single("ReduceMean", (3, 4), ("x", np.array([2], INT)), opset=18)


def _sums() -> Iterator[tuple[str, onnx.ModelProto]]:
    per_channel, full = floats(1, 3, 1, 1), floats(3, 4, 5)
    halves = [
        node("Relu", ("x",), "a"),
        node("ReduceMean", ("x",), "m", axes=[2, 3]),
        node("Concat", ("a", "x"), "double", axis=1),
    ]
    for op in ("Add", "Sub", "Sum"):
        yield op, model([*halves, node(op, ("a", "x"), "y")], (3, 4, 5))
        yield op, model([*halves, node(op, ("a", "m"), "y")], (3, 4, 5))
        yield op, model([*halves, node(op, ("m", "a"), "y")], (3, 4, 5))
        yield op, single(op, (3, 4, 5), ("x", "x"))
        yield op, single(op, (3, 4, 5), ("x", per_channel))
        yield op, single(op, (3, 4, 5), (full, "x"))
    yield "Sum", model([*halves, node("Sum", ("a", "m", "x", "a"), "y")], (3, 4, 5))
    yield "Sum", single("Sum", (3, 4, 5), ("x",))
    yield "Add", single("Add", (4,), ("x", floats(4)), opset=7)


def _activations() -> Iterator[tuple[str, onnx.ModelProto]]:
    zero, six = np.float32(0), np.float32(6)
    yield "Relu", single("Relu", (3, 4))
    yield "Clip", single("Clip", (3, 4), ("x", zero, np.float32(0.5)))
    yield "Clip", single("Clip", (3, 4), ("x", zero))
    yield "Clip", single("Clip", (3, 4), ("x", zero, np.float32(np.inf)))
    yield "Clip", single("Clip", (3, 4), min=0.0, max=0.75, opset=9)
    yield "Clip", single("Clip", (3, 4), ("x", zero, six), opset=11)


def _index_maps() -> Iterator[tuple[str, onnx.ModelProto]]:
    yield "Flatten", single("Flatten", (3, 4, 5))
    yield "Flatten", single("Flatten", (3, 4, 5), axis=-3)
    yield "Reshape", single("Reshape", (3, 4, 5), ("x", np.array([0, 12, -1], INT)))
    yield "Reshape", single("Reshape", (3, 4, 5), ("x", np.array([-1, 60], INT)), opset=9)
    yield "Squeeze", single("Squeeze", (3, 1, 5), ("x", np.array([-2], INT)))
    yield "Squeeze", single("Squeeze", (3, 1, 1), axes=[2, 3], opset=11)
    yield "Unsqueeze", single("Unsqueeze", (3, 4), ("x", np.array([1, -1], INT)))
    yield "Unsqueeze", single("Unsqueeze", (3, 4), axes=[3], opset=9)
    yield "Transpose", single("Transpose", (3, 4, 5), perm=[0, 3, 1, 2])
    limits = ([1, -1], [100, -100], [2, -1], [1, -2])
    yield "Slice", single("Slice", (3, 4, 5), ("x", *(np.array(v, INT) for v in limits)))
    yield "Slice", single("Slice", (6, 4), ("x", *(np.array([v], INT) for v in (-4, -1, 1))))
    yield "Slice", single("Slice", (6, 4), starts=[2, 0], ends=[5, 3], axes=[1, 2], opset=9)
    yield "Slice", single("Slice", (6,), ("x", *(np.array([v], INT) for v in (4, 0, 1, -3))))
    yield "Gather", single("Gather", (3, 4, 5), ("x", np.array([2, 0, 2, -1], INT)), axis=1)
    yield "Gather", single("Gather", (3, 4), ("x", np.array([1, 3], INT)), axis=-1)
    pads = [0, 1, -1, 0, 0, 0, 2, -2]
    yield "Pad", single("Pad", (3, 4, 5), ("x", np.array(pads, INT)))
    yield "Pad", single("Pad", (3, 4, 5), ("x", np.array(pads, INT), np.float32(0)), opset=11)
    yield "Pad", single("Pad", (3, 4, 5), pads=pads, mode="constant", opset=9)
    axes = np.array([-1], INT)
    yield "Pad", single("Pad", (3, 4), ("x", np.array([2, 1], INT), None, axes), opset=18)


def _concats() -> Iterator[tuple[str, onnx.ModelProto]]:
    def joined(*operands: str, axis: int = 1) -> onnx.ModelProto:
        nodes = [node("Relu", ("x",), "a"), node("Concat", operands, "y", axis=axis)]
        constants = {"zero": np.zeros((1, 2, 4), np.float32), "c": floats(1, 2, 4)}
        wanted = {name: array for name, array in constants.items() if name in operands}
        return model(nodes, (3, 4), wanted, batch=1)

    yield "Concat", joined("a", "x")
    yield "Concat", joined("a", "x", "a", axis=-1)
    yield "Concat", joined("zero", "a", "zero")
    yield "Concat", joined("c", "a", "zero", "x", "c")


def _folded() -> Iterator[tuple[str, onnx.ModelProto]]:
    stats = (floats(3, seed=1), floats(3, seed=2), floats(3, seed=3), floats(3, seed=4) ** 2)
    yield "BatchNormalization", single("BatchNormalization", (3, 4, 5), ("x", *stats), epsilon=0.01)
    yield "BatchNormalization", single("BatchNormalization", (3,), ("x", *stats), momentum=0.5)
    yield "BatchNormalization", single("BatchNormalization", (3, 4), ("x", *stats), opset=7)
    for op in ("Mul", "Div"):
        yield op, single(op, (3, 4, 5), ("x", floats(3, 1, 1) + 3))
        yield op, single(op, (3, 4, 5), ("x", np.float32(0.3)), opset=7)
    yield "Mul", single("Mul", (3, 4), (floats(1, 3, 4), "x"))
    yield "Identity", single("Identity", (3, 4))
    yield "Dropout", single("Dropout", (3, 4))
    yield "Dropout", single("Dropout", (3, 4), ratio=0.4, opset=7)
    yield "Dropout", single("Dropout", (3, 4), ("x", np.float32(0.4), np.bool_(False)))


def _tails() -> Iterator[tuple[str, onnx.ModelProto]]:
    for op in ("Softmax", "LogSoftmax"):
        yield op, single(op, (3, 4))
        yield op, single(op, (3, 4), axis=1, opset=13)
        yield op, single(op, (5,), opset=9)
        yield op, single(op, (3, 4), opset=11)
        yield op, single(op, (3, 4, 2), axis=-2, opset=11)
    yield "Sigmoid", single("Sigmoid", (3, 4))
    yield "ArgMax", single("ArgMax", (3, 4), axis=-1)
    yield "ArgMax", single("ArgMax", (3, 4), axis=1, keepdims=0, opset=11)
