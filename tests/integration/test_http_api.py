"""The HTTP API against a real gateway and a telephone that answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.errors import CallRejected
from gateway.probe.caller import CallPolicy
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import Telephone, answered_by, calling, telephone

UNKNOWN = "20260101-000000-00000000"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    config = {
        "sip": {"ring_timeout_s": 1.5},
        "agents": {"desk": {"greeting": "Good morning, this is the front desk."}},
    }
    with live_gateway(tmp_path_factory.mktemp("api"), config) as running:
        yield running
        asyncio.run(running.idle())


@pytest.fixture(autouse=True)
def _nothing_is_left(gateway: LiveGateway) -> Iterator[None]:
    yield
    asyncio.run(gateway.free())


async def place(gateway: LiveGateway, phone: Telephone, user: str = "bob") -> tuple[str, str]:
    """Have the gateway call this telephone, which answers; gives call id and Call-ID."""
    body = {"to": f"sip:{user}@127.0.0.1:{phone.sip.address[1]}"}
    answer, sip_call_id = await answered_by(phone, gateway.ask_beside("POST", "/v1/calls", body))
    assert answer.status_code == 201, answer.text
    call_id = answer.json()["call_id"]
    assert answer.headers["location"] == f"/v1/calls/{call_id}"
    return call_id, sip_call_id


async def ended(gateway: LiveGateway, call_id: str) -> dict[str, Any]:
    """Wait for the record of an outgoing call."""
    async with asyncio.timeout(15):
        while True:
            call = (await gateway.ask_beside("GET", f"/v1/calls/{call_id}")).json()
            if call["state"] == "finished":
                return dict(call)
            await asyncio.sleep(0.05)


def test_a_placed_call_is_listed_steered_and_hung_up(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        async with telephone() as phone:
            call_id, _ = await place(gateway, phone)
            path = f"/v1/calls/{call_id}"
            await phone.bot_is_done()
            active = (await gateway.ask_beside("GET", "/v1/calls?active=true")).json()["calls"]
            assert [(c["call_id"], c["state"], c["direction"]) for c in active] == [
                (call_id, "active", "out")
            ]
            shown = (await gateway.ask_beside("GET", path)).json()
            assert (shown["state"], shown["codec"], shown["called"]) == ("active", "PCMU", "bob")
            quiet_ns = phone.listener.last_ns or 0
            said = await gateway.ask_beside(
                "POST", f"{path}/say", {"text": "Please hold the line."}
            )
            assert said.status_code == 204
            await phone.bot_is_done(since_ns=quiet_ns)
            pressed = await gateway.ask_beside("POST", f"{path}/dtmf", {"digits": "12#a"})
            assert pressed.status_code == 204
            await phone.until(lambda: phone.digits == "12#A", 5, "the digits")
            assert (await gateway.ask_beside("POST", f"{path}/hangup")).status_code == 204
            await phone.ended()
            assert phone.call.ended_by == "gateway"
        record = await ended(gateway, call_id)
        assert record["end_reason"] == "hung_up_by_api"
        assert [turn["bot_text_heard"] for turn in record["turns"]] == [
            "Good morning, this is the front desk.",
            "Please hold the line.",
        ]
        again = await gateway.ask_beside("POST", f"{path}/hangup")
        assert again.status_code == 404
        audio = await gateway.ask_beside("GET", f"{path}/audio")
        assert audio.content[:4] == b"RIFF"

    asyncio.run(scenario())


def test_eagerness_is_changed_in_mid_call(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        async with telephone() as phone:
            call_id, _ = await place(gateway, phone)
            await phone.bot_speaks()
            path = f"/v1/calls/{call_id}/eagerness"
            for eagerness in ("low", "auto"):
                answer = await gateway.ask_beside("POST", path, {"eagerness": eagerness})
                assert answer.status_code == 204, answer.text
        record = await ended(gateway, call_id)
        inputs = gateway.events(record, "turn_input")
        changed = [e["arguments"] for e in inputs if e["input"] == "set_eagerness"]
        assert changed == [{"eagerness": "low"}, {"eagerness": "auto"}]

    asyncio.run(scenario())


def test_a_transfer_is_followed_to_its_end(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        async with telephone() as phone:
            call_id, _ = await place(gateway, phone)
            await phone.bot_speaks()
            body = {"target": "sip:sales@127.0.0.1:5099"}
            answer = await gateway.ask_beside("POST", f"/v1/calls/{call_id}/transfer", body)
            assert answer.status_code == 204, answer.text
            assert phone.call.referred_to == "sip:sales@127.0.0.1:5099"
            await phone.ended()
        assert (await ended(gateway, call_id))["end_reason"] == "transferred"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "policy", [CallPolicy(refer_status=603), CallPolicy(transfer_status=486)], ids=["no", "busy"]
)
def test_after_a_refused_transfer_the_call_goes_on(
    gateway: LiveGateway, policy: CallPolicy
) -> None:
    async def scenario() -> None:
        async with telephone(policy=policy) as phone:
            call_id, _ = await place(gateway, phone)
            await phone.bot_is_done()
            body = {"target": "sip:sales@127.0.0.1:5099"}
            answer = await gateway.ask_beside("POST", f"/v1/calls/{call_id}/transfer", body)
            assert answer.status_code == 502, answer.text
            assert not phone.call.ended.is_set()
            quiet_ns = phone.listener.last_ns or 0
            body = {"text": "Nobody is there."}
            assert (await gateway.ask_beside("POST", f"/v1/calls/{call_id}/say", body)).is_success
            await phone.bot_speaks(5, quiet_ns)
        assert (await ended(gateway, call_id))["end_reason"] == "caller_hung_up"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (CallPolicy(refuse_status=486), "busy"),
        (CallPolicy(refuse_status=603), "busy"),
        (CallPolicy(refuse_status=404), "failed"),
        (CallPolicy(answer_delay_s=20), "no_answer"),
    ],
    ids=["busy", "declined", "not found", "no answer"],
)
def test_a_call_that_nobody_takes(gateway: LiveGateway, policy: CallPolicy, reason: str) -> None:
    user = f"u{policy.refuse_status}"

    async def scenario() -> None:
        async with telephone(policy=policy) as phone:
            with pytest.raises(CallRejected):
                await place(gateway, phone, user)
        calls = (await gateway.ask_beside("GET", "/v1/calls")).json()["calls"]
        call_id = next(call["call_id"] for call in calls if call["called"] == user)
        record = await ended(gateway, call_id)
        assert record["end_reason"] == reason, record["end_text"]
        assert record["answered_at"] is None
        assert record["talk_s"] is None

    asyncio.run(scenario())


def test_a_call_into_the_void(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        body = {"to": f"sip:nobody@127.0.0.1:{free_port()}"}
        placed = await gateway.ask_beside("POST", "/v1/calls", body)
        record = await ended(gateway, placed.json()["call_id"])
        assert record["end_reason"] == "no_answer"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"/v1/calls/{UNKNOWN}", None, 404),
        ("GET", f"/v1/calls/{UNKNOWN}/audio", None, 404),
        ("GET", "/v1/calls/what", None, 422),
        ("GET", "/v1/calls?limit=0", None, 422),
        ("GET", "/v1/nothing", None, 404),
        ("POST", f"/v1/calls/{UNKNOWN}/hangup", None, 404),
        ("POST", f"/v1/calls/{UNKNOWN}/say", {"text": "Hello."}, 404),
        ("POST", f"/v1/calls/{UNKNOWN}/say", {"text": " "}, 422),
        ("POST", f"/v1/calls/{UNKNOWN}/say", {"words": "Hello."}, 422),
        ("POST", f"/v1/calls/{UNKNOWN}/dtmf", {"digits": "12x"}, 422),
        ("POST", f"/v1/calls/{UNKNOWN}/dtmf", {"digits": "1"}, 404),
        ("POST", f"/v1/calls/{UNKNOWN}/eagerness", {"eagerness": "fast"}, 422),
        ("POST", f"/v1/calls/{UNKNOWN}/eagerness", {"eagerness": "low"}, 404),
        ("POST", f"/v1/calls/{UNKNOWN}/transfer", {"target": "mailto:x"}, 422),
        ("POST", f"/v1/calls/{UNKNOWN}/transfer", {"target": "sip:a@b"}, 404),
        ("POST", "/v1/calls", {}, 422),
        ("POST", "/v1/calls", {"to": "nonsense"}, 422),
        ("POST", "/v1/calls", {"to": "sip:a@127.0.0.1", "agent": "nobody"}, 422),
        ("POST", "/v1/calls", {"to": "123", "trunk": "nowhere"}, 422),
        ("POST", "/v1/calls", [1], 422),
        ("DELETE", "/v1/calls", None, 405),
    ],
)
def test_wrong_requests(
    gateway: LiveGateway, method: str, path: str, body: Any, status: int
) -> None:
    answer = gateway.ask(method, path, body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_everything_is_given_back_after_calls(gateway: LiveGateway) -> None:
    names = ("open_sockets", "threads", "asyncio_tasks")

    async def one_call() -> None:
        async with calling(gateway.uri()) as phone:
            await phone.bot_speaks()
        await gateway.finished(phone.sip_call_id)

    async def scenario() -> None:
        await one_call()
        await gateway.idle()
        before = {name: gateway.gauge(name) for name in names}
        await one_call()
        await asyncio.gather(one_call(), one_call())
        await gateway.idle()
        assert {name: gateway.gauge(name) for name in names} == before

    asyncio.run(scenario())
