"""What a record says of a call: bytes, times of all lines, ids, and who ended it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import answered_by, calling, telephone


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    config = {
        "log": {"format": "json", "level": "info"},
        "outgoing": {"allow": ["sip:*@127.0.0.1:*"]},
        "agents": {"desk": {"greeting": "Good morning, this is the desk."}},
    }
    with live_gateway(tmp_path_factory.mktemp("facts"), config) as running:
        yield running


def is_complete(record: dict[str, Any]) -> None:
    rtp = record["rtp"]
    for way in ("sent", "received"):
        # G.711: 160 bytes of payload in 20 ms, as every packet of the test's caller has.
        assert rtp[f"{way}_bytes"] == 160 * rtp[f"{way}_packets"] > 0
    bot = [line for line in record["transcript"] if line["speaker"] == "bot"]
    assert bot
    assert all(0 <= line["at_s"] <= record["audio_s"] for line in bot)
    assert record["turns"][0]["bot_started_s"] == bot[0]["at_s"]


def test_an_incoming_call(gateway: LiveGateway) -> None:
    async def body() -> dict[str, Any]:
        async with calling(gateway.uri(), user="4930777123456") as phone:
            await phone.bot_is_done()
        return await gateway.finished(phone.sip_call_id)

    record = asyncio.run(body())
    is_complete(record)
    assert record["hung_up_by"] == "other_side"
    listed = gateway.ask("GET", "/v1/calls").json()["calls"]
    assert [c["hung_up_by"] for c in listed if c["call_id"] == record["call_id"]] == ["other_side"]
    assert "4930777123456" not in gateway.log
    assert "Good morning" not in gateway.log


def test_an_outgoing_call_that_the_api_ends(gateway: LiveGateway) -> None:
    async def body() -> tuple[str, str, dict[str, Any]]:
        async with telephone() as phone:
            to = f"sip:x@{phone.sip.address[0]}:{phone.sip.address[1]}"
            place = gateway.ask_beside("POST", "/v1/calls", {"to": to, "agent": "desk"})
            placed, sip_call_id = await answered_by(phone, place)
            await phone.bot_is_done()
            call_id = placed.json()["call_id"]
            await gateway.ask_beside("POST", f"/v1/calls/{call_id}/hangup")
            await phone.ended()
        return call_id, sip_call_id, await gateway.finished(sip_call_id)

    call_id, sip_call_id, record = asyncio.run(body())
    is_complete(record)
    assert (record["call_id"], record["sip_call_id"]) == (call_id, sip_call_id)
    assert (record["direction"], record["hung_up_by"]) == ("out", "api")


def test_the_log_at_info_is_ours_alone(gateway: LiveGateway) -> None:
    lines = gateway.log.splitlines()
    assert lines
    assert all('"logger": "gateway.' in line for line in lines), lines
