"""Windows with every default made explicit, against onnxruntime's own output sizes."""

from __future__ import annotations

import pytest
from onnx_models import floats, single

from spikec.compiler.ann import run_model
from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.ir import Attribute, Node
from spikec.compiler.ops.windows import window


def pool(**attrs: Attribute) -> Node:
    return Node("pool", "MaxPool", attrs)


def test_defaults_follow_the_number_of_axes() -> None:
    found = window(pool(kernel_shape=(3, 2)), (8, 9))
    assert (found.strides, found.pads, found.dilations) == ((1, 1), (0, 0, 0, 0), (1, 1))
    assert found.overhang == (0, 0)


def test_same_padding_puts_an_odd_cell_after_or_before() -> None:
    upper = window(pool(kernel_shape=(2,), auto_pad="SAME_UPPER"), (5,))
    lower = window(pool(kernel_shape=(2,), auto_pad="SAME_LOWER"), (5,))
    assert (upper.pads, lower.pads) == ((0, 1), (1, 0))


def test_the_kernel_is_known_from_the_weights() -> None:
    found = window(Node("conv", "Conv", params={1: floats(2, 2, 5, 3)}), (9, 9))
    assert found.kernel == (5, 3)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("kernel", "pads"),
    [(1, (0, 0)), (2, (0, 0)), (2, (1, 0)), (2, (0, 1)), (2, (1, 1)), (3, (2, 1)), (3, (0, 2))],
)
@pytest.mark.parametrize("mode", [0, 1])
def test_overhang_gives_as_many_windows_as_onnxruntime(
    stride: int, kernel: int, pads: tuple[int, int], mode: int
) -> None:
    attrs = {"kernel_shape": (kernel,), "strides": (stride,), "pads": pads, "ceil_mode": mode}
    for size in (5, 6, 7):
        found = window(pool(**attrs), (size,))
        count = (size + sum(found.pads) - kernel) // stride + 1
        model = single("MaxPool", (1, size), opset=22, **attrs)
        assert count == run_model(model, floats(1, 1, size)).shape[-1]


def test_windows_of_another_rank_are_refused() -> None:
    with pytest.raises(UnsupportedOpError) as caught:
        window(pool(kernel_shape=(2, 2)), (8,))
    assert caught.value.where.node == "pool"
