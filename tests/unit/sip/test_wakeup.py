"""The SIP library is asked when a message is there, and in time without one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sip import wakeup
from gateway.sip.wakeup import Wakeup, sockets_on


@pytest.fixture
def library_socket() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        yield udp


def send_to(udp: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(b"OPTIONS", udp.getsockname())


def test_only_sockets_of_one_kind_on_the_port_are_found(library_socket: socket.socket) -> None:
    port = library_socket.getsockname()[1]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        tcp.bind(("127.0.0.1", port))
        other.bind(("127.0.0.1", 0))
        assert sockets_on(port, socket.SOCK_DGRAM) == (library_socket.fileno(),)


def test_looking_leaves_nothing_open(library_socket: socket.socket, tmp_path: Path) -> None:
    with (tmp_path / "no-socket").open("wb"):
        before = sorted(Path("/proc/self/fd").iterdir())
        sockets_on(library_socket.getsockname()[1], socket.SOCK_DGRAM)
        assert sorted(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_message_is_not_kept_waiting(
    library_socket: socket.socket, monkeypatch: pytest.MonkeyPatch, *, is_busy: bool
) -> None:
    monkeypatch.setattr(wakeup, "_IDLE_S", 3600.0)
    monkeypatch.setattr(wakeup, "_BUSY_S", 3600.0)

    async def scenario() -> None:
        waiting = Wakeup(library_socket.getsockname()[1], is_udp_only=True)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(waiting.wait(has_calls=is_busy, is_busy=is_busy))
            await asyncio.sleep(0)
            send_to(library_socket)
        async with asyncio.timeout(10):  # it is still unread
            await waiting.wait(has_calls=is_busy, is_busy=is_busy)
        library_socket.recv(100)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await waiting.wait(has_calls=is_busy, is_busy=is_busy)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("is_udp_only", "has_calls", "is_busy", "limit"),
    [
        (True, False, False, "_IDLE_S"),
        (True, True, False, "_CALLS_S"),
        (True, True, True, "_BUSY_S"),
        (True, False, True, "_BUSY_S"),
        (False, True, False, "_BUSY_S"),
    ],
)
def test_without_a_message_it_is_asked_in_time(
    library_socket: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_udp_only: bool,
    has_calls: bool,
    is_busy: bool,
    limit: str,
) -> None:
    for name in ("_IDLE_S", "_CALLS_S", "_BUSY_S"):
        monkeypatch.setattr(wakeup, name, 0.01 if name == limit else 3600.0)

    async def scenario() -> None:
        waiting = Wakeup(library_socket.getsockname()[1], is_udp_only=is_udp_only)
        async with asyncio.timeout(10):
            await waiting.wait(has_calls=has_calls, is_busy=is_busy)

    asyncio.run(scenario())


def test_a_connection_is_not_kept_waiting(
    library_socket: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup, "_IDLE_S", 3600.0)
    port = library_socket.getsockname()[1]

    async def scenario(listener: socket.socket) -> None:
        waiting = Wakeup(port, is_udp_only=False)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(waiting.wait(has_calls=False, is_busy=False))
            await asyncio.sleep(0)
            with socket.create_connection(("127.0.0.1", port)):
                pass
        listener.accept()[0].close()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await waiting.wait(has_calls=False, is_busy=False)
        waiting.close()

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        asyncio.run(scenario(listener))


def test_where_no_socket_is_found_it_is_asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup, "_IDLE_S", 3600.0)

    async def scenario() -> None:
        async with asyncio.timeout(10):
            await Wakeup(1, is_udp_only=True).wait(has_calls=False, is_busy=False)

    asyncio.run(scenario())
