"""From an HTTP request through the control socket into a worker and back, calls on disk beside."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from gateway.config.models import HttpConfig, RecordsConfig
from gateway.errors import CallNotFound, NoCallSlot
from gateway.http.api import create_app
from gateway.http.server import serve
from gateway.process.control import ControlServer
from gateway.process.control_client import connect
from gateway.process.messages import (
    CallDetail,
    CallList,
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
    TrunkStatus,
    WorkerStatus,
)
from gateway.process.remote import RemoteGateway
from gateway.records.archive import open_archive
from gateway.records.model import CallRecord, CallSummary, EndReason
from gateway.records.store import CallRecords
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
            case Say() | Transfer() | Dtmf() | SetEagerness() | SetRecording():
                self.told.append(command)
                return Done()
            case _:
                raise CallNotFound(404, "no such call")


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
        remote = RemoteGateway(archive, Metrics())
        web = group.create_task(serve(create_app(remote, config), config, listener))
        control = group.create_task(server.serve(worker))
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            unready = await client.get("/readyz")
            assert unready.status_code == 503
            assert unready.json()["reason"] == "the worker is starting"
            async with connect(folder / "w.sock") as connection:
                remote.attach(connection)
                yield client
            assert (await client.get("/readyz")).status_code == 503
            remote.detach("the worker is gone; it is being started again")
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

    asyncio.run(body())
    assert worker.told == [
        Say(call_id=LIVE, text="Hold."),
        Transfer(call_id=LIVE, target="100"),
        Dtmf(call_id=LIVE, digits="1"),
        SetEagerness(call_id=LIVE, eagerness="low"),
        SetRecording(call_id=LIVE, paused=True),
        HangUp(call_id=LIVE),
    ]
