"""Connections that are opened before they are needed; vendors that are late, full or gone."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest
from pydantic import SecretStr

from gateway.providers.kit import warm
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.warm import WarmSockets
from tests.support.vendor_double import KEY, VendorDouble

Use = Callable[[VendorDouble, WarmSockets, Endpoint], Awaitable[None]]


def run(test: Use, longest_s: float = 60.0) -> None:
    """Run a test in a fresh loop; no task and no connection may be left behind."""

    async def main() -> None:
        async with asyncio.timeout(20), VendorDouble() as vendor:
            headers = {"Authorization": SecretStr(f"Bearer {KEY}")}
            endpoint = Endpoint("acme", vendor.url, headers, attempts=1)
            pool = WarmSockets(lambda: endpoint, longest_s)
            await test(vendor, pool, endpoint)
            await pool.close()
            await vendor.all_gone()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not [task for task in left if "gateway/" in str(task.get_coro())]

    asyncio.run(main())
    gc.collect()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for the pool; `run` limits it."""
    while not is_so():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)


def test_a_connection_that_waits_is_used_and_another_is_opened() -> None:
    async def test(vendor: VendorDouble, pool: WarmSockets, endpoint: Endpoint) -> None:
        pool.keep(2)
        await until(lambda: pool.ready == 2)
        async with pool.connected(endpoint) as link:
            assert vendor.attempts == 2
            link.send('{"say": "Hi."}')
            assert isinstance(await link.receive(within_s=5), bytes)
            await until(lambda: pool.ready == 2)
        assert vendor.attempts == 3

    run(test)


def test_without_one_a_connection_is_opened() -> None:
    async def test(vendor: VendorDouble, pool: WarmSockets, endpoint: Endpoint) -> None:
        async with pool.connected(endpoint) as link:
            assert link.is_open
        assert (vendor.attempts, pool.ready) == (1, 0)

    run(test)


def test_what_the_vendor_closes_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "_FIRST_WAIT_S", 0.02)

    async def test(vendor: VendorDouble, pool: WarmSockets, endpoint: Endpoint) -> None:
        pool.keep(1)
        await until(lambda: pool.ready == 1)
        vendor.drop_all()
        await until(lambda: vendor.attempts == 2 and pool.ready == 1)
        async with pool.connected(endpoint) as link:
            assert link.is_open

    run(test)


def test_what_is_too_old_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "_FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(warm, "_SHORT_S", 0.01)

    async def test(vendor: VendorDouble, pool: WarmSockets, endpoint: Endpoint) -> None:
        pool.keep(1)
        await until(lambda: vendor.attempts >= 3)
        await until(lambda: vendor.open_connections == 1)

    run(test, longest_s=0.1)


def test_a_refusal_is_tried_again_later_and_a_call_hears_of_it_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(warm, "_FIRST_WAIT_S", 0.05)

    async def test(vendor: VendorDouble, pool: WarmSockets, endpoint: Endpoint) -> None:
        vendor.status, vendor.refusals = HTTPStatus.TOO_MANY_REQUESTS, 2
        pool.keep(1)
        await until(lambda: vendor.attempts == 2)
        assert pool.ready == 0
        await until(lambda: pool.ready == 1)

    run(test)


def test_fewer_and_none_are_kept_when_that_is_wanted() -> None:
    async def test(vendor: VendorDouble, pool: WarmSockets, endpoint: Endpoint) -> None:
        pool.keep(3)
        await until(lambda: pool.ready == 3)
        async with pool.connected(endpoint) as link:
            pool.keep(1)
            await until(lambda: vendor.open_connections == 2)
            pool.keep(0)
            await until(lambda: vendor.open_connections == 1)
            assert link.is_open  # a call's is its own
        pool.keep(1)
        await until(lambda: pool.ready == 1)

    run(test)
