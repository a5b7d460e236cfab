from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikec.compiler.fixed_point import largest, rounded, split_bias


def test_largest_is_symmetric_around_zero() -> None:
    assert [largest(bits) for bits in (2, 8, 24, 32)] == [1, 127, 8388607, 2147483647]


def test_rounding_is_to_even_and_clips() -> None:
    values = np.array([0.5, 1.5, -0.5, -2.5, 200.0, -200.0])
    assert rounded(values, 127).tolist() == [0, 2, 0, -2, 127, -127]


@given(st.floats(-1e4, 1e4), st.integers(1, 512))
def test_bias_and_remainder_add_the_bias_over_a_run_within_half_a_unit(
    bias: float, timesteps: int
) -> None:
    per_step, remainder = split_bias(np.array([bias]), timesteps)
    assert abs(timesteps * per_step[0] + remainder[0] - timesteps * bias) <= 0.5 + 1e-6
    assert abs(remainder[0]) <= timesteps / 2 + 1
