"""From an HTTP request through the control socket into a worker and back, calls on disk beside."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from gateway.config.models import HttpConfig, RecordsConfig
from gateway.errors import CallNotFound, NoCallSlot
from gateway.http.api import create_app
from gateway.http.server import serve
from gateway.process.call_directory import CallDirectory
from gateway.process.control import ControlServer
from gateway.process.control_client import ControlClient, connect
from gateway.process.messages import (
    CallDetail,
    CallList,
    CallPlaced,
    ChangeAgent,
    ChangeLanguage,
    Command,
    Done,
    Dtmf,
    GetCall,
    GetMetrics,
    GetStatus,
    GetTrunks,
    HangUp,
    ListCalls,
    MetricsText,
    PlaceCall,
    Say,
    SetEagerness,
    SetRecording,
    Transfer,
    TrunkList,
    WorkerStatus,
)
from gateway.process.remote import RemoteGateway
from gateway.records.archive import open_archive
from gateway.records.model import CallRecord, CallSummary, EndReason
from gateway.records.query import CallQuery
from gateway.records.store import CallRecords
from gateway.sip.trunk_status import TrunkStatus
from gateway.telemetry.metrics import Metrics

LIVE = "20261120-132233-9f03ab7c"
OLD = "20261119-101010-00000001"


def record(call_id: str) -> CallRecord:
    return CallRecord(call_id=call_id, direction="in", started_at=datetime.now(UTC))


class Worker:
    """Has one call."""

    def __init__(self) -> None:
        self.told: list[Command] = []
        self.metrics = Metrics()
        self.metrics.call_slots_used.set(1)

    async def do(self, command: Command) -> BaseModel:  # noqa: PLR0911 - one per command
        match command:
            case GetStatus():
                return WorkerStatus(ready=True, slots=4, slots_used=1)
            case ListCalls():
                return CallList(calls=(record(LIVE).summary(),))
            case GetCall(call_id=call_id) if call_id == LIVE:
                return CallDetail(call=record(LIVE))
            case GetMetrics():
                return MetricsText(text=self.metrics.text())
            case GetTrunks():
                return TrunkList(trunks=(TrunkStatus(name="carrier", state="registered"),))
            case PlaceCall():
                raise NoCallSlot(503, "all slots are taken")
            case HangUp(call_id=call_id) if call_id == LIVE:
                self.told.append(command)
                return Done()
            case (
                Say()
                | Transfer()
                | Dtmf()
                | SetEagerness()
                | ChangeAgent()
                | ChangeLanguage()
                | SetRecording()
            ):
                self.told.append(command)
                return Done()
            case _:
                raise CallNotFound(404, "no such call")


class Link:
    """A worker as the fleet has it."""

    kind = "worker"

    def __init__(self, name: str = "worker-0", client: ControlClient | None = None) -> None:
        self.name = name
        self.client = client
        self.state = "starting" if client is None else "up"


class Workers:
    """A fleet of links."""

    def __init__(self, links: list[Link], absence: str = "the worker is starting") -> None:
        self.workers = links
        self.absence = absence
        self.calls = CallDirectory()


class Operations:
    """Does nothing."""

    def processes(self) -> dict[str, int]:
        return {"supervisor": os.getpid(), "worker-9": 2**22 + 1}

    def drain(self) -> None:
        pass

    async def reload(self) -> tuple[str, ...]:
        return ()

    async def replace(self) -> int:
        return 0


@asynccontextmanager
async def gateway(folder: Path, worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    records = CallRecords(folder)
    reason: EndReason = "caller_hung_up"
    records.open(record(OLD)).finish(record(OLD).ended(datetime.now(UTC), reason))
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config, server = HttpConfig(), ControlServer(folder / "w.sock")
    settings = RecordsConfig(directory=folder)
    async with (
        asyncio.timeout(20),
        open_archive(settings, Metrics()) as archive,
        asyncio.TaskGroup() as group,
    ):
        link = Link()
        fleet = Workers([link])
        fleet.calls.adopt(link, [record(LIVE).summary()])
        remote = RemoteGateway(archive, Metrics(), fleet, Operations())
        web = group.create_task(serve(create_app(remote, config), config, listener))
        control = group.create_task(server.serve(worker))
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            unready = await client.get("/readyz")
            assert unready.status_code == 503
            assert unready.json()["reason"] == "the worker is starting"
            async with connect(folder / "w.sock") as connection:
                link.client, link.state = connection, "up"
                yield client
            assert (await client.get("/readyz")).status_code == 503
            link.client, fleet.absence = None, "the worker is gone; it is being started again"
            gone = await client.post(f"/v1/calls/{LIVE}/hangup")
            assert (gone.status_code, gone.json()["error"]["code"]) == (503, "unavailable")
            assert "started again" in gone.json()["error"]["message"]
            listed = (await client.get("/v1/calls")).json()["calls"]
            assert [call["call_id"] for call in listed] == [OLD]
            assert 'process="supervisor"' in (await client.get("/metrics")).text
        web.cancel()
        control.cancel()


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [LIVE, OLD]),
        ("?active=true", [LIVE]),
        ("?active=false", [OLD]),
        ("?limit=1", [LIVE]),
        ("?state=finished", [OLD]),
        ("?state=active&caller=nobody", []),
        (f"?cursor={LIVE}", [OLD]),
    ],
)
def test_calls_in_progress_and_finished(tmp_path: Path, query: str, ids: list[str]) -> None:
    async def body() -> None:
        async with gateway(tmp_path, Worker()) as client:
            listed = (await client.get(f"/v1/calls{query}")).json()["calls"]
            assert [call["call_id"] for call in listed] == ids
            for call_id in ids:
                shown = (await client.get(f"/v1/calls/{call_id}")).json()
                assert shown["state"] == ("active" if call_id == LIVE else "finished")
                CallSummary.model_validate(shown)

    asyncio.run(body())


def test_commands_reach_the_worker_and_errors_come_back(tmp_path: Path) -> None:
    worker = Worker()

    async def body() -> None:
        async with gateway(tmp_path, worker) as client:
            assert (await client.get("/readyz")).json()["slots_used"] == 1
            for verb, told in [
                ("say", {"text": "Hold."}),
                ("transfer", {"target": "100"}),
                ("dtmf", {"digits": "1"}),
                ("eagerness", {"eagerness": "low"}),
                ("agent", {"agent": "sales"}),
                ("language", {"language": "de"}),
                ("recording", {"paused": True}),
                ("hangup", None),
            ]:
                answer = await client.post(f"/v1/calls/{LIVE}/{verb}", json=told)
                assert answer.status_code == 204
            over = await client.post(f"/v1/calls/{OLD}/hangup")
            assert (over.status_code, over.json()["error"]["code"]) == (404, "call_not_found")
            full = await client.post("/v1/calls", json={"to": "sip:a@b"})
            assert (full.status_code, full.json()["error"]["code"]) == (503, "no_call_slot")
            assert (await client.get("/v1/trunks")).json()["trunks"][0]["name"] == "carrier"
            text = (await client.get("/metrics")).text
            assert 'gateway_call_slots_used{process="worker-0"} 1.0' in text
            assert 'gateway_rss_bytes{process="supervisor"}' in text
            assert 'gateway_memory_bytes{process="supervisor",of="supervisor"}' in text

    asyncio.run(body())
    assert worker.told == [
        Say(call_id=LIVE, text="Hold."),
        Transfer(call_id=LIVE, target="100"),
        Dtmf(call_id=LIVE, digits="1"),
        SetEagerness(call_id=LIVE, eagerness="low"),
        ChangeAgent(call_id=LIVE, agent="sales"),
        ChangeLanguage(call_id=LIVE, language="de"),
        SetRecording(call_id=LIVE, paused=True),
        HangUp(call_id=LIVE),
    ]


class Busy(Worker):
    """Has no call, and room for so many."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self.free = free
        self.calls: list[str] = []
        self.silent = asyncio.Event()
        """Set = answers nothing."""

    async def do(self, command: Command) -> BaseModel:  # noqa: PLR0911 - one per command
        if self.silent.is_set():
            await asyncio.sleep(60)
        match command:
            case GetStatus():
                return WorkerStatus(ready=self.free > 0, slots=4, slots_used=4 - self.free)
            case ListCalls():
                return CallList(calls=tuple(record(call).summary() for call in self.calls))
            case GetCall(call_id=call_id) if call_id in self.calls:
                return CallDetail(call=record(call_id))
            case HangUp(call_id=call_id) if call_id in self.calls:
                self.told.append(command)
                return Done()
            case GetTrunks():
                state = "registered" if self.free else "failed"
                return TrunkList(trunks=(TrunkStatus(name="carrier", state=state),))
            case PlaceCall() if self.free:
                self.free -= 1
                self.calls.append(f"20261120-132233-{len(self.calls):08x}")
                return CallPlaced(call_id=self.calls[-1])
            case _:
                return await super().do(command)


@asynccontextmanager
async def fleet(folder: Path, *workers: Busy) -> AsyncIterator[RemoteGateway]:
    """Real control sockets, one per worker."""
    async with (
        asyncio.timeout(20),
        open_archive(RecordsConfig(directory=folder), Metrics()) as archive,
        asyncio.TaskGroup() as group,
        AsyncExitStack() as stack,
    ):
        tasks, links = [], []
        for number, worker in enumerate(workers, 1):
            server = ControlServer(folder / f"w{number}.sock")
            tasks.append(group.create_task(server.serve(worker)))
            client = await stack.enter_async_context(connect(folder / f"w{number}.sock"))
            links.append(Link(f"worker-{number}", client))
        yield RemoteGateway(archive, Metrics(), Workers(links), Operations())
        for task in tasks:
            task.cancel()


def test_many_workers_look_like_one_gateway(tmp_path: Path) -> None:
    one, two, three = Busy(1), Busy(3), Busy(0)

    async def body() -> None:
        async with fleet(tmp_path, one, two, three) as remote:
            ready = await remote.readiness()
            assert (ready.ready, ready.slots, ready.slots_used) == (True, 12, 8)
            placed = [await remote.place_call("sip:a@b", "", "") for _ in range(4)]
            assert (len(one.calls), len(two.calls), len(three.calls)) == (1, 3, 0)
            with pytest.raises(NoCallSlot):
                await remote.place_call("sip:a@b", "", "")
            full = await remote.readiness()
            assert (full.ready, full.slots_used) == (False, 12)
            listed = await remote.list_calls(CallQuery(state="active"))
            assert {call.call_id for call in listed} == {*placed}
            assert (await remote.get_call(two.calls[-1])).call_id == two.calls[-1]
            await remote.hang_up(two.calls[-1])
            assert [command.call_id for command in two.told] == [two.calls[-1]]
            with pytest.raises(CallNotFound):
                await remote.hang_up("20261120-132233-ffffffff")
            one.free = 1  # registered here, failed elsewhere
            assert [trunk.state for trunk in await remote.trunks()] == ["registered"]
            text = await remote.metrics_text()
            assert all(f'process="worker-{n}"' in text for n in (1, 2, 3))
            assert 'gateway_workers{process="supervisor",state="up"} 3.0' in text

    asyncio.run(body())


def test_one_silent_worker_holds_nobody_up(tmp_path: Path) -> None:
    one, two = Busy(2), Busy(2)

    async def body() -> None:
        async with fleet(tmp_path, one, two) as remote:
            call = await remote.place_call("sip:a@b", "", "")
            owner, other = (one, two) if call in one.calls else (two, one)
            other.silent.set()
            async with asyncio.timeout(1):  # the one that has it answers: the other is not awaited
                await remote.hang_up(call)
            assert owner.told
            ready = await remote.readiness()
            assert (ready.ready, ready.slots) == (True, 4)
            for link in remote._workers.workers:
                link.state = "stuck"
            ready = await remote.readiness()
            assert (ready.ready, ready.slots) == (False, 0)
            assert ready.reason == "stuck: worker-1, worker-2"

    asyncio.run(body())
