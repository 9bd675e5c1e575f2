"""What all tests share: one gateway for those that can live with its defaults."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support import time_limits
from tests.support.gateway_process import GatewayUnderTest, running, running_gateway
from tests.support.progress import Progress
from tests.support.schedule import FileByFile, longest_first

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

# How long an example takes says something about the machine, which is shared, not about the code.
settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")

# Sockets of tests and of the gateways that they start lie in temporary folders, and the path of a
# socket ends at 107 bytes (unix(7)).
if len(tempfile.gettempdir()) > 8:
    os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"  # noqa: S108 - what is made in it has names of its own

# Tests that were started in the background inherit this, and so would the processes they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def default_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayUnderTest]:
    """A gateway with the offline front desk, started once; leave no call behind in it."""
    with running_gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.hookimpl(trylast=True)  # the reporter is there
def pytest_configure(config: pytest.Config) -> None:
    """Limit every try and every tear-down; where workers report to us, tell where they are."""
    time_limits.install(config)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and config.pluginmanager.has_plugin("dsession"):
        config.pluginmanager.register(Progress(reporter), "progress")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileByFile | None:
    """Run files whole, as `--dist loadfile` says."""
    return FileByFile(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController, error: object) -> None:
    """End what a worker that was ended has left running."""
    if error:
        run = node.workerinput["testrunuid"]
        time_limits.end_processes_of(node.workerinput["workerid"], run)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give what runs in real time and real processes a second try, which the summary counts.

    Machines are shared: a caller whose own clock was late for a moment says nothing about the
    gateway.  What is wrong fails twice; a test that needs its second try often is to be mended,
    and a run with more than a few second tries fails (`pytest_sessionfinish`).
    """
    if os.environ.get("PYTEST_XDIST_WORKER"):
        longest_first(items)
    for item in items:
        if {"contract", "integration", "wire"} & set(item.path.parts):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish() -> None:
    """Spare collections of garbage, of which tests ask for many, the modules that stay anyway."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which more than 1 % of the tests passed only on their second try."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and too_many_reruns(reporter.stats) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that needed a second try."""
    reruns = terminalreporter.stats.get("rerun", [])
    if not reruns:
        return
    terminalreporter.section("second tries: each is a race to be found")
    for report in reruns:
        terminalreporter.line(report.nodeid)
    if too_many_reruns(terminalreporter.stats):
        terminalreporter.line("more than 1 % of the tests: the run fails", red=True)


def too_many_reruns(stats: Mapping[str, Sequence[object]]) -> bool:
    """Tell whether more than 1 % of a run's tests, and more than one, were tried twice."""
    reruns = len(stats.get("rerun", ()))
    finished = sum(len(stats.get(outcome, ())) for outcome in ("passed", "failed"))
    return reruns > max(1, finished // 100)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of running gateways below a test that failed with them."""
    report = yield
    if report.failed and report.when == "call" and "default_gateway" in item.fixturenames:
        for gateway in running:
            report.sections.append(("gateway log", gateway.log_tail()))
    return report
