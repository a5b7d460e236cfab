from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from random_programs import Growing

from spikec.backends.reference.connections import applied
from spikec.compiler.connections import (
    Connection,
    Conv,
    ConvTranspose,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
)
from spikec.compiler.errors import ProgramError
from spikec.compiler.geometry import connection_shape, factor_shape
from spikec.compiler.populations import Shape

quick = examples(60)


@quick
@given(st.data())
def test_shapes_are_those_that_the_reference_computes(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(2, 5), (3, 4, 6), (4, 1, 1)]))
    factor = Growing(data.draw).factor(shape)
    assert factor_shape(factor, shape) == applied(factor, np.ones((1, *shape), np.int64)).shape[1:]


KERNEL = np.ones((2, 2, 3, 3))
UNFIT: list[tuple[Factor, Shape]] = [
    (Dense(np.ones((2, 5))), (2, 2)),
    (Dense(np.ones(4)), (4,)),
    (Identity(np.ones(3)), (2, 2)),
    (Identity(np.ones((2, 2))), (2, 2)),
    (GlobalSum(), (4,)),
    (Gather(np.array([4])), (4,)),
    (Gather(np.array([-2])), (4,)),
    (SumPool((2,), (1,), (0, 0), (1,)), (2, 4, 4)),
    (SumPool((2, 2), (0, 1), (0, 0, 0, 0), (1, 1)), (2, 4, 4)),
    (SumPool((2, 2), (1, 1), (0, 0), (1, 1)), (2, 4, 4)),
    (SumPool((5, 5), (1, 1), (0, 0, 0, 0), (1, 1)), (2, 4, 4)),
    (SumPool((2, 2), (1, 1), (0, 0, 0, 0), (4, 4)), (2, 4, 4)),
    (Conv(KERNEL, (1, 1), (0, 0, 0, 0), (1, 1)), (3, 4, 4)),
    (Conv(KERNEL, (1, 1), (0, 0, 0, 0), (1, 1)), (2, 16)),
    (Conv(KERNEL, (1, 1), (0, 0, 0, 0), (1, 1), 0), (2, 4, 4)),
    (Conv(KERNEL, (1, 1), (0, 0, 0, 0), (1, 1)), (2, 2, 4)),
    (Conv(KERNEL, (1, 1), (0, -1, 0, 0), (1, 1)), (2, 4, 4)),
    (Conv(np.ones((2, 2, 2, 2, 2)), (1,) * 3, (0,) * 6, (1,) * 3), (2, 4, 4, 4)),
    (ConvTranspose(KERNEL, (1, 1), (0, 0, 0, 0), (0, 0), (1, 1)), (3, 4, 4)),
    (ConvTranspose(KERNEL, (1, 1), (3, 3, 3, 3), (0, 0), (1, 1)), (2, 1, 1)),
    (ConvTranspose(KERNEL, (1, 1), (0, 0, 0, 0), (-1, 0), (1, 1)), (2, 4, 4)),
]


@pytest.mark.parametrize(("factor", "shape"), UNFIT)
def test_factors_that_do_not_fit_are_refused(factor: Factor, shape: Shape) -> None:
    with pytest.raises(ProgramError) as caught:
        connection_shape(Connection("a", "b", (factor,)), shape)
    assert (caught.value.where.node, caught.value.where.op) == ("a→b", type(factor).__name__)
