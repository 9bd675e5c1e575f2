"""The fuzzer, briefly: `make fuzz` is the long form."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fuzz.__main__ import CONFIG, TARGETS, admission, attack, faults_since
from tests.fuzz.verdict import health
from tests.support.live_gateway import LiveGateway, live_gateway

SECONDS = 2.5

pytestmark = pytest.mark.timeout(180)


def test_nothing_is_found(tmp_path: Path) -> None:
    async def scenario(gateway: LiveGateway) -> None:
        before, seen = await health(gateway), len(gateway.log)
        for target in TARGETS:
            figures = await attack(gateway, target, SECONDS, seed=7)
            assert not figures.faults, figures.line()
            assert figures.sent >= (49 if target == "torture" else 10)  # a busy machine sends less
        assert not await faults_since(gateway, before, seen)

    with live_gateway(tmp_path, CONFIG) as gateway:
        asyncio.run(scenario(gateway))


def test_admission_judges_what_the_library_takes_for_a_new_call() -> None:
    assert admission(count=20_000, seed=7).returncode == 0
