"""How many random examples a property is held against."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def examples(count: int, *, fresh: bool = False) -> settings:
    """So many, the same at every run unless they are to be fresh; large ones take their time."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=not fresh,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
