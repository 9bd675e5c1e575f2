"""Supervisor and worker ends of the control socket over a real Unix socket."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.errors import CallNotFound, CommandError, TransferFailed
from gateway.process.control import ControlServer
from gateway.process.control_client import connect
from gateway.process.framing import COMMAND_LIMIT_BYTES
from gateway.process.messages import (
    CallDetail,
    CallEnded,
    CallPlaced,
    CallProgress,
    Command,
    Done,
    Drain,
    GetCall,
    GetMetrics,
    GetStatus,
    HangUp,
    ListCalls,
    MetricsText,
    PlaceCall,
    Say,
    Transfer,
    WorkerReady,
    WorkerStatus,
)
from gateway.records.model import CallRecord, TurnRecord

RECORD = CallRecord(
    call_id="20261120-132233-9f03ab7c",
    direction="in",
    started_at=datetime(2026, 11, 20, tzinfo=UTC),
    turns=(TurnRecord(index=0, bot_text_heard="Grüß Gott", response_gap_ms=712.5),),
)


class Worker:
    """Does what the commands say, in the smallest way."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.done: list[str] = []

    async def do(self, command: Command) -> BaseModel:
        match command:
            case PlaceCall():
                return CallPlaced(call_id=command.to)
            case GetCall():
                return CallDetail(call=RECORD)
            case GetMetrics():
                return MetricsText(text="x 1\n" * 500_000)
            case GetStatus():
                return WorkerStatus(ready=True, slots=4)
            case HangUp():
                raise CallNotFound(404, f"no call {command.call_id}")
            case Transfer():
                raise TransferFailed(486, "Busy Here")
            case Say():
                await self.gate.wait()
                self.done.append(command.text)
                return Done()
            case ListCalls():
                return Done()
            case _:
                raise ZeroDivisionError("a bug")


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[ControlServer, Worker]]:
    server, worker = ControlServer(path), Worker()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.serve(worker))
        await server.is_listening.wait()
        yield server, worker
        worker.gate.set()
        task.cancel()


def run(path: Path, test: object) -> None:
    async def body() -> None:
        async with asyncio.timeout(10), serving(path) as (server, worker):
            await test(server, worker)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(body())
    assert not path.exists()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.sock"


def test_replies_are_typed_and_whole(path: Path) -> None:
    async def test(_server: ControlServer, _worker: Worker) -> None:
        async with connect(path) as client:
            placed = await client.request(PlaceCall(to="sip:ü@b"), CallPlaced)
            assert placed.call_id == "sip:ü@b"
            assert (await client.request(GetCall(call_id="c"), CallDetail)).call == RECORD
            assert len((await client.request(GetMetrics(), MetricsText)).text) == 2_000_000
            assert (await client.request(GetStatus(), WorkerStatus)).slots == 4
        assert not client.is_connected

    run(path, test)


def test_only_this_user_may_connect(path: Path) -> None:
    async def test(_server: ControlServer, _worker: Worker) -> None:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600  # noqa: PTH116

    run(path, test)


def test_errors_come_back_as_themselves(path: Path) -> None:
    async def test(_server: ControlServer, _worker: Worker) -> None:
        async with connect(path) as client:
            with pytest.raises(CallNotFound, match="no call c"):
                await client.request(HangUp(call_id="c"), Done)
            with pytest.raises(TransferFailed, match="486 Busy Here"):
                await client.request(Transfer(call_id="c", target="sip:x@y"), Done)
            with pytest.raises(CommandError, match="500 internal error"):
                await client.request(Drain(), Done)
            with pytest.raises(CommandError, match="not a CallPlaced"):
                await client.request(ListCalls(), CallPlaced)
            assert (await client.request(GetStatus(), WorkerStatus)).ready

    run(path, test)


def test_a_slow_command_holds_nobody_up_and_may_time_out(path: Path) -> None:
    async def test(_server: ControlServer, worker: Worker) -> None:
        async with connect(path) as client, asyncio.TaskGroup() as group:
            slow = group.create_task(client.request(Say(call_id="c", text="a"), Done))
            await client.request(GetStatus(), WorkerStatus)
            assert not slow.done()
            with pytest.raises(CommandError, match="504 no answer"):
                await client.request(Say(call_id="c", text="b"), Done, timeout_s=0.05)
            worker.gate.set()
            assert await slow == Done()
            assert worker.done == ["a", "b"]  # given up waiting is not given up doing

    run(path, test)


def test_events_reach_every_client_in_order(path: Path) -> None:
    events = [
        WorkerReady(pid=7, slots=4),
        *(CallProgress(call_id="c", kind=f"k{n}", data={"n": n}) for n in range(50)),
        CallEnded(call=RECORD.summary()),
    ]

    async def test(server: ControlServer, _worker: Worker) -> None:
        async with connect(path) as one, connect(path) as two:
            for client in (one, two):
                await client.request(GetStatus(), WorkerStatus)
            for event in events:
                server.publish(event)
            for client in (one, two):
                stream = client.events()
                assert [await anext(stream) for _ in events] == events

    run(path, test)


def test_the_end_of_the_worker_is_told(path: Path) -> None:
    async def body() -> None:
        async with asyncio.timeout(10):
            async with serving(path) as (server, _worker):
                opened = connect(path)
                client = await opened.__aenter__()
                await client.request(GetStatus(), WorkerStatus)
                server.publish(WorkerReady(pid=1, slots=4))
                server.publish(WorkerReady(pid=2, slots=4))
            told = [event.pid async for event in client.events()]
            assert told == [1, 2]
            with pytest.raises(CommandError, match="503 the worker is gone"):
                await client.request(GetStatus(), WorkerStatus)
            await opened.__aexit__(None, None, None)

    asyncio.run(body())


def test_what_waits_fails_when_the_connection_breaks(path: Path) -> None:
    async def test(_server: ControlServer, worker: Worker) -> None:
        async with connect(path) as client, asyncio.TaskGroup() as group:

            async def waiting() -> None:
                with pytest.raises(CommandError, match="503"):
                    await client.request(Say(call_id="c", text="kept"), Done)

            group.create_task(waiting())
            await client.request(GetStatus(), WorkerStatus)
            client.close()
        worker.gate.set()

    run(path, test)


def test_the_worker_knows_when_its_supervisor_is_gone(path: Path) -> None:
    async def test(server: ControlServer, _worker: Worker) -> None:
        async with connect(path) as client:
            await client.request(GetStatus(), WorkerStatus)
        await server.abandoned()

    run(path, test)


def test_nobody_there(path: Path) -> None:
    async def body() -> None:
        with pytest.raises(CommandError, match="503 no worker answers"):
            async with connect(path, timeout_s=0.1):
                pass

    asyncio.run(body())


@pytest.mark.parametrize(
    "garbage",
    [b"\n", b"{}\n", b"\xff\xfe\n", b"[1,2]\n", b'{"id":1,"command":{"op":"explode"}}\n'],
)
def test_garbage_is_answered_and_the_connection_lives(path: Path, garbage: bytes) -> None:
    async def test(_server: ControlServer, _worker: Worker) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(garbage + b'{"id":5,"command":{"op":"status"}}\n')
        answers = sorted([await reader.readline(), await reader.readline()])
        assert b'"id":0' in answers[0]
        assert b"400" in answers[0]
        assert b'"ready":true' in answers[1]
        writer.close()

    run(path, test)


def test_an_endless_line_ends_its_connection_only(path: Path) -> None:
    async def test(_server: ControlServer, _worker: Worker) -> None:
        async with connect(path) as client:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"x" * (3 * COMMAND_LIMIT_BYTES))
            assert await reader.read() == b""
            writer.close()
            assert (await client.request(GetStatus(), WorkerStatus)).ready

    run(path, test)


def test_a_client_that_never_reads_is_cut_off(path: Path) -> None:
    async def test(server: ControlServer, _worker: Worker) -> None:
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.connect(str(path))
            async with connect(path) as client:
                for _ in range(10):
                    await client.request(GetStatus(), WorkerStatus)
                    big = {"x": "x" * 3_000_000}
                    server.publish(CallProgress(call_id="c", kind="k", data=big))
                await client.request(GetStatus(), WorkerStatus)
                assert len(server._writers) == 1
                assert client.is_connected

    run(path, test)
