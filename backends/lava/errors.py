"""What the Lava backend says when it cannot run.

LavaError
├── LavaEnvironmentError   no Python 3.10 with Lava, or none can be made
└── LavaRunError           a run that ended without a result
"""

from __future__ import annotations

from spikec.compiler.errors import CompileError


class LavaError(CompileError):
    """The Lava backend cannot do what was asked for."""


class LavaEnvironmentError(LavaError):
    """There is no Python 3.10 with Lava, or none can be made."""


class LavaRunError(LavaError):
    """A run ended without a result; ``where`` names the layer if it is known."""
