"""A wall clock that a test sets, for the processes of one gateway; monotonic time stays true."""

from __future__ import annotations

from pathlib import Path

import pytest

_LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)

needs_false_clock = pytest.mark.skipif(_LIBRARY is None, reason="libfaketime is not installed")


def false_clock(offset: Path) -> dict[str, str]:
    """Return the environment of a process whose clock differs by what a file says, as `+7200`."""
    return {
        "LD_PRELOAD": str(_LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",  # s: without it each look at a clock reads the file
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }


def set_clock(offset: Path, by: str) -> None:
    """Set the clock of running processes, as `+7200`; they see it within a second.

    In one step: a process that looks at an empty file has the true time for a second.
    """
    fresh = offset.with_suffix(".new")
    fresh.write_text(by)
    fresh.replace(offset)
