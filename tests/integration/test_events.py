"""`GET /v1/events` at a real gateway: a call is followed, through a reconnection, without a gap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from gateway.call.events import FOR_REPLAY
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import answered_by, telephone

CONFIG = {"agents": {"desk": {"greeting": "Good morning, this is the front desk."}}}


async def events(
    gateway: LiveGateway, last_event_id: str = "", query: str = ""
) -> AsyncIterator[dict[str, Any]]:
    """Read events until the reader has enough."""
    url = f"http://127.0.0.1:{gateway.http_port}/v1/events{query}"
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        fields: dict[str, Any] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "data" in fields:
                yield {**fields, "data": json.loads(fields.pop("data"))}


async def until(
    gateway: LiveGateway, last_kind: str, found: list[dict[str, Any]], last_event_id: str = ""
) -> None:
    """Collect events up to one of a kind, then break off."""
    reading = events(gateway, last_event_id)
    async for event in reading:
        found.append(event)
        if event["event"] == last_kind:
            break
    await reading.aclose()  # type: ignore[attr-defined]


def test_a_call_is_followed_through_a_reconnection(tmp_path: Path) -> None:
    async def scenario(gateway: LiveGateway) -> None:
        first: list[dict[str, Any]] = []
        later: list[dict[str, Any]] = []
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            reading = group.create_task(until(gateway, "bot_started", first))
            await eventually(lambda: first, 20, "a connection, before the call begins")
            async with telephone() as phone:
                body = {"to": f"sip:bob@127.0.0.1:{phone.sip.address[1]}"}
                placing = gateway.ask_beside("POST", "/v1/calls", body)
                answer, _ = await answered_by(phone, placing)
                call_id = answer.json()["call_id"]
                await reading
                await phone.bot_is_done()  # meanwhile nobody reads
                digits = {"digits": "12"}
                pressed = await gateway.ask_beside("POST", f"/v1/calls/{call_id}/dtmf", digits)
                assert pressed.status_code == 204
                again = group.create_task(until(gateway, "call_finished", later, first[-1]["id"]))
                hung_up = await gateway.ask_beside("POST", f"/v1/calls/{call_id}/hangup")
                assert hung_up.status_code == 204
                await phone.ended()
                await again
        assert first[0]["event"] == "calls_in_progress"
        assert first[0]["data"] == {"calls": []}
        found = first[1:] + later
        numbers = [int(event["id"].rpartition("-")[2]) for event in found]
        assert numbers == list(range(1, len(found) + 1))
        assert {event["data"]["call_id"] for event in found} == {call_id}
        kinds = [event["event"] for event in found]
        assert (kinds[0], kinds[-1]) == ("call_started", "call_finished")
        record = found[-1]["data"]["call"]
        recorded = [e["kind"] for e in gateway.events(record) if e["kind"] not in FOR_REPLAY]
        assert kinds[1:-1] == recorded
        assert {"answered", "agent_started", "digits_sent", "call_ended"} <= set(kinds)
        assert record["end_reason"] == "hung_up_by_api"
        over = await gateway.ask_beside("POST", f"/v1/calls/{call_id}/hangup")
        assert over.status_code == 404
        shown = (await gateway.ask_beside("GET", f"/v1/calls/{call_id}")).json()
        assert shown["state"] == "finished"

    with live_gateway(tmp_path, CONFIG) as gateway:
        asyncio.run(scenario(gateway))
        asyncio.run(gateway.idle())
