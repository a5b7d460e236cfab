"""Threads: parts of a run side by side, stopped together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

Result = TypeVar("Result")


class StoppedError(Exception):
    """Another thread failed, or the user interrupted the run."""


def processors() -> int:
    """Processors that this process may use; some systems only tell how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def slices(images: int, size: int) -> list[slice]:
    """Consecutive parts of so many images."""
    return [slice(start, min(start + size, images)) for start in range(0, images, size)]


def in_threads(
    threads: int, work: Callable[[slice], Result], parts: Sequence[slice], stop: Event
) -> Iterator[Result]:
    """Results as they come; an error or an interrupt stops the threads before it goes on."""
    if threads == 1 or len(parts) < 2:
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, part) for part in parts]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
