"""How a missing Python package is installed into the environment that this program runs in."""

from __future__ import annotations

import sys
from pathlib import Path


def pip_install(what: str) -> str:
    """Return the command.

    Args:
        what: requirements, and options before them.
    """
    pip = Path(sys.prefix, "bin", "pip")
    if sys.prefix == sys.base_prefix or not pip.exists():
        return f"pip install {what}"
    here = Path.cwd()
    return f"{pip.relative_to(here) if pip.is_relative_to(here) else pip} install {what}"
