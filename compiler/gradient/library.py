"""Whether torch, an optional library, is there."""

from __future__ import annotations

import importlib.util

from spikec.compiler.errors import OptionError

REQUIREMENT = "torch==2.13.0"
"""The version that is tested; without a version pip takes a build of several GB for GPUs."""


def need_torch() -> None:
    """Nothing if torch can be imported.

    Raises:
        OptionError: It is not installed; with the command that installs it.
    """
    if importlib.util.find_spec("torch") is None:
        raise OptionError(
            "weight_calibration is 'gradient', which needs torch, and torch is not installed",
            hint=f'pip install "{REQUIREMENT}"'
            " --index-url https://download.pytorch.org/whl/cpu, or choose 'fit'",
        )
