"""The fuzzer, briefly: `make fuzz` is the long form."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.fuzz.__main__ import CONFIG, TARGETS, run
from tests.support.live_gateway import LiveGateway, live_gateway

SECONDS = 4.0

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with live_gateway(tmp_path_factory.mktemp("fuzz"), CONFIG) as running:
        yield running


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(gateway: LiveGateway, target: str) -> None:
    figures = asyncio.run(run(gateway, target, SECONDS, seed=7))
    assert not figures.faults, (figures.line(), figures.faults)
    assert figures.sent >= 49
