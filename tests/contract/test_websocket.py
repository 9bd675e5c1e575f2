"""The provider kit's WebSocket loop against a vendor that fails in every way it can."""

from __future__ import annotations

import asyncio
import gc
import time
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest
from pydantic import SecretStr

from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.kit import websocket
from gateway.providers.kit.endpoint import Endpoint, KeepAlive
from gateway.providers.kit.websocket import Socket, connected
from tests.support.faults import GARBAGE, Fault
from tests.support.vendor_double import KEY, VendorDouble


def endpoint(url: str, **settings: object) -> Endpoint:
    headers = {"Authorization": SecretStr(f"Bearer {KEY}")}
    wanted = {"headers": headers, "query": [("token", SecretStr(KEY)), ("model", "a b")]}
    return Endpoint("acme", url, **{**wanted, **settings})  # type: ignore[arg-type]


def run(test: Callable[[VendorDouble], Awaitable[None]]) -> None:
    """Run a test in a fresh loop; no task and no connection may be left behind."""

    async def main() -> None:
        async with asyncio.timeout(20):
            async with VendorDouble() as vendor:
                await test(vendor)
                await vendor.all_gone()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not [task for task in left if "gateway/" in str(task.get_coro())]

    asyncio.run(main())
    gc.collect()


async def answer(link: Socket, text: str = "Good morning.") -> tuple[int, str]:
    """Ask for speech; return how many bytes came before what ended it."""
    link.send(f'{{"say": "{text}"}}')
    size = 0
    while isinstance(message := await link.receive(within_s=0.5), bytes):
        size += len(message)
    return size, str(link.parsed(message)["done"])


def hides_the_key(error: BaseException) -> bool:
    return KEY not in "".join(traceback.format_exception(error))


def test_a_conversation():
    async def test(vendor: VendorDouble) -> None:
        async with connected(endpoint(vendor.url)) as link:
            size, done = await answer(link, "Yes.")
            assert (size, done) == (9600, "Yes.")
            assert (await answer(link, "No."))[1] == "No."
        assert vendor.paths == ["/speak?token=sk-secret%2Bkey%2F1&model=a%20b"]
        await vendor.gone.wait()

    run(test)


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [
        (HTTPStatus.UNAUTHORIZED, ProviderRejected, 1),
        (HTTPStatus.PAYMENT_REQUIRED, ProviderRejected, 1),
        (HTTPStatus.FORBIDDEN, ProviderRejected, 1),
        (HTTPStatus.NOT_FOUND, ProviderRejected, 1),
        (HTTPStatus.OK, ProviderProtocolError, 1),
        (HTTPStatus.FOUND, ProviderProtocolError, 1),
        (HTTPStatus.TOO_MANY_REQUESTS, ProviderUnavailable, 3),
        (HTTPStatus.SERVICE_UNAVAILABLE, ProviderUnavailable, 3),
    ],
)
def test_refused_connections(status, kind, attempts, monkeypatch):
    monkeypatch.setattr(websocket.rules, "FIRST_WAIT_S", 0.01)

    async def test(vendor: VendorDouble) -> None:
        vendor.status = status
        vendor.headers = {"Location": "ws://127.0.0.1:1/elsewhere"}
        with pytest.raises(kind, match=f"acme: .*HTTP {status.value}") as caught:
            async with connected(endpoint(vendor.url)):
                pass
        assert vendor.attempts == attempts
        assert hides_the_key(caught.value)

    run(test)


def test_a_wrong_key_is_not_shown():
    async def test(vendor: VendorDouble) -> None:
        vendor.fault = Fault.REFUSED
        with pytest.raises(ProviderRejected, match="check api_key") as caught:
            async with connected(endpoint(vendor.url)):
                pass
        assert hides_the_key(caught.value)

    run(test)


def test_a_server_that_is_busy_for_a_moment_is_tried_again(monkeypatch):
    monkeypatch.setattr(websocket.rules, "FIRST_WAIT_S", 0.01)

    async def test(vendor: VendorDouble) -> None:
        vendor.status, vendor.refusals = HTTPStatus.TOO_MANY_REQUESTS, 2
        async with connected(endpoint(vendor.url)) as link:
            assert (await answer(link))[1] == "Good morning."
        assert vendor.attempts == 3

    run(test)


def test_a_caller_does_not_wait_for_a_long_retry_after():
    async def test(vendor: VendorDouble) -> None:
        vendor.status, vendor.headers = HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "30"}
        began_s = time.monotonic()
        with pytest.raises(ProviderUnavailable, match="limit"):
            async with connected(endpoint(vendor.url)):
                pass
        assert time.monotonic() - began_s < 2
        assert vendor.attempts == 1

    run(test)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, ProviderUnavailable),
        (1001, ProviderUnavailable),
        (1008, ProviderRejected),
        (1011, ProviderUnavailable),
        (3000, ProviderRejected),
        (4008, ProviderTimeout),
    ],
)
def test_closed_in_mid_stream(code, kind):
    async def test(vendor: VendorDouble) -> None:
        vendor.fault, vendor.close_with = Fault.CLOSE, (code, f"sorry, {KEY}")
        codes = {4008: ProviderTimeout}
        with pytest.raises(kind, match=str(code)) as caught:
            async with connected(endpoint(vendor.url, close_codes=codes)) as link:
                await answer(link)
        assert type(caught.value) is kind
        assert hides_the_key(caught.value)

    run(test)


def test_iteration_ends_with_a_normal_close_and_no_other():
    async def test(vendor: VendorDouble) -> None:
        for code in (1000, 1011):
            vendor.fault, vendor.close_with = Fault.CLOSE, (code, "")
            sizes: list[int] = []
            try:
                async with connected(endpoint(vendor.url)) as link:
                    link.send('{"say": "Good morning."}')
                    async for message in link:
                        sizes.append(len(message))  # noqa: PERF401 - what came before counts
            except ProviderUnavailable:
                assert code == 1011
            else:
                assert code == 1000
            assert len(sizes) == 16

    run(test)


def test_a_server_that_falls_silent():
    async def test(vendor: VendorDouble) -> None:
        vendor.fault = Fault.STALL
        with pytest.raises(ProviderTimeout, match=r"nothing came .* 0\.5 s"):
            async with connected(endpoint(vendor.url)) as link:
                await answer(link)

    run(test)


def test_a_server_that_is_gone_without_a_word(monkeypatch):
    """It answers no pings: half-open connections are noticed."""
    monkeypatch.setattr(websocket, "_PING_S", 0.05)

    async def test(vendor: VendorDouble) -> None:
        vendor.reads = False
        with pytest.raises(ProviderTimeout, match="silent"):
            async with connected(endpoint(vendor.url)) as link:
                await link.receive()

    run(test)


def test_a_slow_server_is_waited_for():
    async def test(vendor: VendorDouble) -> None:
        vendor.fault = Fault.SLOW
        async with connected(endpoint(vendor.url)) as link:
            assert (await answer(link))[1] == "Good morning."

    run(test)


def test_garbage_where_json_is_due():
    async def test(vendor: VendorDouble) -> None:
        vendor.fault = Fault.GARBAGE
        with pytest.raises(ProviderProtocolError, match="JSON object was expected"):
            async with connected(endpoint(vendor.url)) as link:
                await answer(link)

    run(test)


@pytest.mark.parametrize("sent", [GARBAGE, b"", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])
def test_what_answers_is_no_websocket_server(sent):
    async def main() -> None:
        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(sent)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((ProviderProtocolError, ProviderUnavailable)) as caught:
            async with connected(endpoint(f"ws://127.0.0.1:{port}/x", attempts=1)):
                pass
        assert hides_the_key(caught.value)
        server.close()
        await server.wait_closed()

    asyncio.run(main())


def test_a_handshake_that_never_ends():
    async def main() -> None:
        end = asyncio.Event()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await end.wait()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        where = endpoint(f"ws://localhost:{port}", attempts=1, connect_timeout_s=0.1)
        with pytest.raises(ProviderTimeout, match=r"0\.1 s"):
            async with connected(where):
                pass
        end.set()
        server.close()
        await server.wait_closed()

    asyncio.run(main())


def test_nobody_listens_there():
    async def main() -> None:
        with pytest.raises(ProviderUnavailable, match="no connection"):
            async with connected(endpoint("ws://127.0.0.1:1/x", attempts=1)):
                pass

    asyncio.run(main())


@pytest.mark.parametrize("url", ["ws://8.8.8.8/x", "ws://[2606:4700::1]/x", "http://127.0.0.1/x"])
def test_keys_travel_only_protected_or_near(url):
    async def main() -> None:
        with pytest.raises(ProviderRejected, match="wss://") as caught:
            async with connected(endpoint(url)):
                pass
        assert hides_the_key(caught.value)

    asyncio.run(main())


def test_a_server_that_does_not_read_is_not_waited_for():
    async def test(vendor: VendorDouble) -> None:
        vendor.reads = False
        with pytest.raises(ProviderUnavailable, match="wait to be sent"):  # noqa: PT012
            async with connected(endpoint(vendor.url, most_unsent=20)) as link:
                for _ in range(2000):
                    link.send(bytes(64_000))
                    await asyncio.sleep(0)

    run(test)


def test_what_is_sent_after_the_end_is_refused():
    async def test(vendor: VendorDouble) -> None:
        vendor.fault = Fault.CLOSE
        with pytest.raises(ProviderUnavailable, match="1011"):  # noqa: PT012
            async with connected(endpoint(vendor.url)) as link:
                with pytest.raises(ProviderError):
                    await answer(link)
                for _ in range(100):
                    link.send("more")
                    await asyncio.sleep(0)

    run(test)


def test_an_idle_connection_is_kept_alive():
    async def test(vendor: VendorDouble) -> None:
        keep_alive = KeepAlive(0.02, '{"type": "KeepAlive"}')
        async with connected(endpoint(vendor.url, keep_alive=keep_alive)) as link:
            while len(vendor.received) < 3:  # noqa: ASYNC110 - the double has no event for it
                await asyncio.sleep(0.01)
            assert set(vendor.received) == {keep_alive.message}
            assert (await answer(link))[1] == "Good morning."

    run(test)


@pytest.mark.parametrize("reads", [True, False])
def test_cancelled_the_connection_is_cut_at_once(reads):
    async def test(vendor: VendorDouble) -> None:
        vendor.fault, vendor.reads = Fault.STALL, reads
        is_open = asyncio.Event()

        async def talk() -> None:
            async with connected(endpoint(vendor.url)) as link:
                link.send('{"say": "Good morning."}')
                is_open.set()
                await link.receive(within_s=None)
                await asyncio.Event().wait()

        task = asyncio.ensure_future(talk())
        await is_open.wait()
        await asyncio.sleep(0.05)
        began_s = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began_s < 0.1
        if reads:
            await vendor.gone.wait()
            assert time.monotonic() - began_s < 0.2

    run(test)


def test_two_hundred_turns_with_faults_leave_nothing_behind():
    async def test(vendor: VendorDouble) -> None:
        faults = [Fault.NONE, Fault.CLOSE, Fault.NONE, Fault.GARBAGE]
        failures = 0
        for turn in range(200):
            vendor.fault = faults[turn % 4]
            try:
                async with connected(endpoint(vendor.url)) as link:
                    await answer(link, "Ok")
            except ProviderError:
                failures += 1
        assert failures == 100

    run(test)


def test_what_was_sent_last_arrives_before_the_goodbye():
    async def test(vendor: VendorDouble) -> None:
        async with connected(endpoint(vendor.url)) as link:
            for number in range(50):
                link.send(f"{number}")
        await vendor.all_gone()
        assert vendor.received == [f"{number}" for number in range(50)]

    run(test)


def test_a_goodbye_is_not_waited_for_longer_than_a_moment():
    async def test(vendor: VendorDouble) -> None:
        vendor.reads = False
        began_s = time.monotonic()
        async with connected(endpoint(vendor.url)) as link:
            for _ in range(100):
                link.send(bytes(256_000))
        assert time.monotonic() - began_s < 2

    run(test)


def test_cancelled_in_its_goodbye_nothing_is_left():
    async def test(vendor: VendorDouble) -> None:
        vendor.reads = False

        async def talk() -> None:
            async with connected(endpoint(vendor.url)) as link:
                link.send(bytes(64_000_000))

        task = asyncio.ensure_future(talk())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(test)
