"""A real call of a real gateway is told to a receiver of webhooks, over the gateway's end, too."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import calling
from tests.support.webhook_receiver import SECRET, Receiver

AGENT = {"greeting": "Good morning, this is the front desk."}
LATER = {"call.turn"}
"""The last turn is over when the call is, a moment before or after it."""


def test_a_call_is_told_in_order_whatever_the_receiver_does(tmp_path: Path) -> None:
    receiver = Receiver([503, 204, 404])

    async def first(gateway: LiveGateway) -> str:
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
        record = await gateway.finished(phone.sip_call_id)
        await receiver.until("call.record_ready")
        state = (await gateway.ask_beside("GET", "/v1/webhooks")).json()["webhooks"][0]
        assert state["name"] == "crm"
        assert (state["waiting"], state["problem"]) == (0, "")
        return str(record["call_id"])

    async def second(gateway: LiveGateway) -> str:
        async with calling(gateway.uri()) as phone:
            await phone.bot_speaks()
        record = await gateway.finished(phone.sip_call_id)

        def state() -> int:
            return int(gateway.ask("GET", "/v1/webhooks").json()["webhooks"][0]["failures"])

        await eventually(state, 10, "a failure that is shown")
        return str(record["call_id"])

    def config() -> dict[str, object]:
        return {"agents": {"desk": AGENT}, "webhooks": [receiver.config()]}

    async def scenario() -> None:
        async with receiver.running():
            with live_gateway(tmp_path, config()) as gateway:
                told = await first(gateway)
                assert SECRET not in gateway.log
        with live_gateway(tmp_path, config()) as gateway:  # the receiver is down
            missed = await second(gateway)
        with live_gateway(tmp_path, config()):  # blocks the loop, and with it the receiver
            async with receiver.running():
                await receiver.until("call.record_ready", 2)
        for call_id in (told, missed):
            types = [kind for kind in receiver.of(call_id) if kind not in LATER]
            assert types == ["call.started", "call.answered", "call.ended", "call.record_ready"]
            assert LATER & set(receiver.of(call_id))
            last = receiver.events[-1]["data"]
        assert last["record"]["end_reason"] == "caller_hung_up"
        ids = [event["id"] for event in receiver.events]
        assert len(ids) == len(set(ids)), "nothing is told twice where nothing has failed"

    asyncio.run(scenario())
