"""The library's questions for addresses: answered at once, beside the loop, or not at all."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import socket
import struct
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.sip import names
from gateway.sip.names import Names, is_address, server_addresses
from gateway.sip.pjsip_types import Str


class Library:
    """Asks as the library does, and keeps what it is told."""

    def __init__(self, asked):
        self.names = asked
        self.told = {}
        self._kept = []

        def answer(status, token, found):
            count = ctypes.c_uint.from_address(found).value if found else 0
            records = [ctypes.string_at(found + 4 + 44 * n, 44) for n in range(count)]
            self.told[token] = (status, [_read(record) for record in records])

        self._answer = names._Answer(answer)

    def ask(self, host, port=0, kind=0, flag=0):
        info = names._HostInfo(flag, kind, Str.of(host), port)
        self._kept.append(info)
        token = len(self._kept)
        place = ctypes.cast(self._answer, ctypes.c_void_p).value
        self.names._ask(None, None, ctypes.addressof(info), token, place)
        return token


def in_loop(test):
    @functools.wraps(test)
    def run(*args, **more):
        asyncio.run(test(*args, **more))

    return run


def _read(record):
    kind, _, _, family, port, host = struct.unpack_from("=iIIHH4s", record)
    assert (family, struct.unpack_from("=i", record, 40)[0]) == (socket.AF_INET, 16)
    return kind, socket.inet_ntoa(host), socket.ntohs(port)


@asynccontextmanager
async def resolving(look_up):
    loop = asyncio.get_running_loop()
    asked = Names(loop, look_up)
    task = loop.create_task(asked.run())
    try:
        yield Library(asked)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("10.0.0.1",), (1, "10.0.0.1", 5060)),
        (("10.0.0.1", 5070, 2), (2, "10.0.0.1", 5070)),
        (("10.0.0.1", 0, 0, 2), (3, "10.0.0.1", 5061)),
        (("10.0.0.1", 0, 0, 1), (2, "10.0.0.1", 5060)),
        (("10.0.0.1", 0, 129), (1, "10.0.0.1", 5060)),
    ],
)
@in_loop
async def test_addresses_are_told_at_once(asked, told):
    async with resolving(None) as library:
        token = library.ask(*asked)
        assert library.told == {token: (0, [told])}


@in_loop
async def test_names_are_looked_up_once_beside_and_remembered():
    looked_up = []
    found = asyncio.Event()

    async def look_up(name):
        looked_up.append(name)
        await found.wait()
        return ["10.0.0.7", "10.0.0.8"]

    async with resolving(look_up) as library:
        library.ask("Slow.Example", 5080)
        library.ask("slow.example")
        await settle()
        assert library.told == {}
        found.set()
        await settle()
        assert library.told[1] == (0, [(1, "10.0.0.7", 5080), (1, "10.0.0.8", 5080)])
        assert library.told[2] == (0, [(1, "10.0.0.7", 5060), (1, "10.0.0.8", 5060)])
        assert library.told[library.ask("slow.example")][0] == 0
    assert looked_up == ["slow.example"]


@in_loop
async def test_what_is_unknown_or_too_much_is_told_as_unknown():
    started = []

    async def look_up(name):
        started.append(name)
        if name == "none.example":
            raise OSError("no such name")
        await asyncio.Event().wait()

    async with resolving(look_up) as library:
        token = library.ask("none.example")
        await settle()
        assert library.told[token] == (70018, [])
        tokens = [library.ask(f"n{number}.example") for number in range(20)]
        await settle()
        assert not {*library.told} & {tokens[0], tokens[15]}
        assert [token in library.told for token in tokens] == [False] * 16 + [True] * 4
        assert len(started) == 1 + 3
        token = library.ask("::1")
        assert token not in library.told
        await settle()
        assert library.told[token] == (70018, [])


@in_loop
async def test_a_library_that_has_ended_is_told_nothing():
    async def look_up(name):
        await asyncio.Event().wait()

    async with resolving(look_up) as library:
        for number in range(17):
            library.ask(f"n{number}.example")
        library.names.end()
        await settle()
        assert library.told == {}


def test_what_is_an_address():
    assert is_address("10.0.0.1")
    assert is_address("[::1]")
    assert not any(map(is_address, ("localhost", "10.1", "", "10.0.0.1.example", "1.2.3.4/1")))


def test_the_form_that_the_library_reads():
    assert len(server_addresses(1, 5060, ("10.0.0.1",))) == 4 + 17 * 44
