"""Whether what the gateway stands on is installed: the extra ``relaykit[ssh]``."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["lacks"]

_NEEDED = ("bcrypt",)
"""What ``twisted.conch`` needs besides what Twisted and relaykit need themselves."""


def lacks() -> str:
    """What this machine lacks for the gateway, and what to do; empty for nothing.  Imports little."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if not missing:
        return ""
    return f"needs {', '.join(missing)}, which is not installed here: pip install 'relaykit[ssh]'"
