from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.simulator.events.arena import ALIGNMENT, Buffer, arena_for, line_aligned


@pytest.mark.parametrize("seed", range(20))
def test_buffers_that_live_together_lie_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    buffers = []
    for index in range(30):
        first, last = sorted(rng.integers(0, 12, 2).tolist())
        buffers.append(Buffer(str(index), int(rng.integers(1, 5000)), first, last))
    arena = arena_for(buffers)
    owners = np.full((12, arena.size), -1)
    for index, buffer in enumerate(buffers):
        start = arena.offsets[buffer.name]
        assert start % ALIGNMENT == 0
        mine = owners[buffer.first : buffer.last + 1, start : start + buffer.size]
        assert mine.shape[1] == buffer.size
        assert (mine == -1).all()
        mine[...] = index
    assert arena.size <= sum(-(-b.size // ALIGNMENT) * ALIGNMENT for b in buffers)


def test_memory_is_used_again() -> None:
    chain = [Buffer(str(index), 640, index, index + 1) for index in range(20)]
    assert arena_for(chain).size == 2 * 640
    assert arena_for([]).size == 0


@pytest.mark.parametrize("size", [0, 1, 63, 64, 1000])
def test_memory_begins_at_a_cache_line(size: int) -> None:
    memory = line_aligned(size)
    assert len(memory) == size
    assert memory.ctypes.data % ALIGNMENT == 0 or not size
