"""What all tests share: one gateway for those that can live with its defaults."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator

import pytest

from tests.support.gateway_process import GatewayUnderTest, running, running_gateway

# Tests that were started in the background inherit this, and so would the processes they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def default_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayUnderTest]:
    """A gateway with the offline front desk, started once; leave no call behind in it."""
    with running_gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give what runs in real time and real processes a second try, which the summary counts.

    Machines are shared: a caller whose own clock was late for a moment says nothing about the
    gateway.  What is wrong fails twice; a test that needs its second try often is to be mended.
    """
    for item in items:
        if {"contract", "integration", "wire"} & set(item.path.parts):
            item.add_marker(pytest.mark.flaky(reruns=1))


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
