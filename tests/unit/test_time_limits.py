"""A test that hangs fails, whatever it hangs in, and the run goes on to its end."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
from tests.conftest import *  # noqa: F403
from tests.support import time_limits
from tests.support.progress import Progress

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    time_limits.install(config, grace_s=1)
    if reporter := config.pluginmanager.get_plugin("terminalreporter"):
        config.pluginmanager.register(Progress(reporter, every_s=0.5), "progress")
"""
AFTER_A_FAILURE = """
import threading
import pytest

tries = []

@pytest.fixture
def stuck():
    yield
    threading.Event().wait()

def test_tear_down(stuck):
    raise AssertionError

@pytest.mark.flaky(reruns=1)
def test_second_try():
    tries.append(1)
    assert len(tries) == 2
    threading.Event().wait()
"""
DEAF = """
import signal
import subprocess
import threading
from pathlib import Path

import pytest

def test_before():
    pass

@pytest.mark.flaky(reruns=1)
def test_deaf():
    process = subprocess.Popen(["sleep", "1000"])
    Path("started").open("a").write(f"{process.pid}\\n")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    threading.Event().wait()

def test_after():
    pass
"""


RUNS = {f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output")}


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makeconftest(CONFTEST)

    def run(text, *options):
        pytester.makepyfile(text)
        settings = ("-p", "no:cacheprovider", "-o", "timeout=1", "--dist", "loadfile")
        return pytester.runpytest_subprocess(*settings, *options, timeout=60)

    return run


def test_after_a_failure_the_limit_holds_still(run):
    result = run(AFTER_A_FAILURE, "-n", "0")
    result.assert_outcomes(failed=2, errors=1)
    result.stdout.fnmatch_lines_random(["ERROR *::test_tear_down*", "FAILED *::test_second_try*"])
    assert str(result.stdout).count("Failed: Timeout (>1.0s)") >= 2


def test_a_worker_that_nothing_reaches_is_ended_and_replaced(run):
    result = run(DEAF, "-n", "1")
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*crashed while running*::test_deaf*"])
    result.stdout.fnmatch_lines(["[[]0 min, 1 tests done; running: *::test_deaf (* s)]"])
    result.stderr.fnmatch_lines(["Timeout*", "*in test_deaf"])
    (left,) = Path("started").read_text().split()
    status = Path(f"/proc/{left}/cmdline")
    assert not status.exists() or not status.read_bytes(), "it still runs"


def test_processes_and_threads_are_waited_for_with_a_limit():
    wrong = [
        f"{path}:{line}"
        for path in sorted((Path(__file__).parents[1]).rglob("*.py"))
        if "fuzz" not in path.parts  # by hand, and hours long
        for line in waits_without_limit(ast.parse(path.read_text()))
    ]
    assert not wrong


def waits_without_limit(tree):
    """Return the lines; what is awaited ends with its loop."""
    for block in ast.walk(tree):  # leaving it waits, also when it has failed
        if isinstance(block, ast.With):
            opened = [ast.unparse(item.context_expr) for item in block.items]
            if any(text.startswith("subprocess.Popen(") for text in opened):
                yield block.lineno
    awaited = [node.value for node in ast.walk(tree) if isinstance(node, ast.Await)]
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or call in awaited:
            continue
        is_run = ast.unparse(call.func) in RUNS
        is_wait = ast.unparse(call.func).endswith((".join", "process.wait")) and not call.args
        if (is_run or is_wait) and "timeout" not in {keyword.arg for keyword in call.keywords}:
            yield call.lineno
