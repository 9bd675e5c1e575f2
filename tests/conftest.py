"""What all tests share: one gateway for those that can live with its defaults."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.support.gateway_process import GatewayUnderTest, running, running_gateway


@pytest.fixture(scope="session")
def default_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayUnderTest]:
    """A gateway with the offline front desk, started once; leave no call behind in it."""
    with running_gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


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
