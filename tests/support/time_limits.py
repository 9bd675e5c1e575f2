"""Limits that hold for every try and every phase of a test, and end a worker that ignores them.

pytest-timeout arms its alarm once per test and cancels it at the first failure: neither a second
try nor the tear-down of a failed test has a limit of its own.  The alarm also reaches only Python
code in the main thread.  `TimeLimits` arms it anew for each try and each tear-down, and behind it
a timer that needs no Python code to run: it prints the stacks of all threads and ends the process.
pytest-xdist then reports the test as failed and replaces the worker.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_timeout import Settings

GRACE_S = 60.0
"""From the alarm to the end of the process: enough to stop a gateway, which may take 30 s."""


class TimeLimits:
    """A pytest plugin.

    Args:
        stderr: file descriptor that stays open and is not captured.
        grace_s: time between the alarm and the end of the process.
    """

    def __init__(self, stderr: int, grace_s: float = GRACE_S) -> None:
        self._stderr = stderr
        self._grace_s = grace_s
        self._settings: dict[str, Settings] = {}
        self._is_debugging = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Settings) -> None:
        """Note the limit, and leave the alarm to pytest-timeout."""
        self._settings[item.nodeid] = settings

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Disarm after a test."""
        try:
            return (yield)
        finally:
            self._settings.pop(item.nodeid, None)
            faulthandler.cancel_dump_traceback_later()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Each try has the whole limit for its set-up and call."""
        self._arm(item)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """So has each tear-down."""
        self._arm(item)
        return (yield)

    def pytest_enter_pdb(self) -> None:
        """Let a person think."""
        self._is_debugging = True
        faulthandler.cancel_dump_traceback_later()

    def pytest_unconfigure(self) -> None:
        """Close what `install` has opened."""
        os.close(self._stderr)

    def _arm(self, item: pytest.Item) -> None:
        settings = self._settings.get(item.nodeid)
        if settings is None or self._is_debugging:
            return
        item.ihook.pytest_timeout_set_timer(item=item, settings=settings)
        limit_s = float(settings.timeout) + self._grace_s
        faulthandler.dump_traceback_later(limit_s, file=self._stderr, exit=True)


def end_processes_of(worker: str, run: str) -> list[int]:
    """Kill what a worker of pytest-xdist that is gone has left running; return the ids.

    Args:
        worker: its name, such as `gw0`.
        run: the run's id; both are in the environment of its processes.
    """
    marks = {f"PYTEST_XDIST_WORKER={worker}".encode(), f"PYTEST_XDIST_TESTRUNUID={run}".encode()}
    ended = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if marks <= set((folder / "environ").read_bytes().split(b"\0")):
                os.kill(int(folder.name), signal.SIGKILL)
                ended.append(int(folder.name))
    return ended


def install(config: pytest.Config, **options: Any) -> None:
    """Register the limits; call this from `pytest_configure`, when stderr is not captured."""
    config.pluginmanager.register(TimeLimits(os.dup(2), **options), "time-limits")
