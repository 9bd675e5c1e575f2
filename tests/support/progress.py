"""Tells during a long run with several workers where it is, and names what takes long."""

from __future__ import annotations

import threading
import time

import pytest

_EVERY_S = 120.0
LONG_S = 60.0


class Progress:
    """A pytest plugin of the process that the workers report to.

    Args:
        reporter: where lines go.
        every_s: time between two of them.
    """

    def __init__(self, reporter: pytest.TerminalReporter, every_s: float = _EVERY_S) -> None:
        self._reporter = reporter
        self._every_s = every_s
        self._began_s = time.monotonic()
        self._running: dict[str, float] = {}
        """Test -> when it began."""
        self._long: dict[str, float] = {}
        """Test -> how long a phase of it has taken."""
        self._done = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def pytest_sessionstart(self) -> None:
        self._thread.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._running.pop(nodeid, None)
        self._done += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when not in ("setup", "call", "teardown"):  # its worker has ended
            self._running.pop(report.nodeid, None)
        if report.duration > LONG_S:
            self._long[report.nodeid] = max(report.duration, self._long.get(report.nodeid, 0.0))

    def pytest_sessionfinish(self) -> None:
        self._is_over.set()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the tests that take more than a minute."""
        if self._long:
            terminalreporter.section(f"above {LONG_S:g} s: to be made shorter")
            for nodeid, seconds in self._long.items():
                terminalreporter.line(f"{seconds:.0f} s {nodeid}")

    def line(self) -> str:
        """Where the run is."""
        now_s = time.monotonic()
        running = ", ".join(
            f"{nodeid} ({now_s - since_s:.0f} s)" for nodeid, since_s in [*self._running.items()]
        )
        minutes = (now_s - self._began_s) / 60
        return f"[{minutes:.0f} min, {self._done} tests done; running: {running or 'none'}]"

    def _tell(self) -> None:
        while not self._is_over.wait(self._every_s):
            self._reporter.ensure_newline()
            self._reporter.write_line(self.line())
