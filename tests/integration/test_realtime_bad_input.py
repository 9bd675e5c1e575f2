"""Clients of the realtime API that do what they should not: answered, or closed with a reason."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.api_keys import new_key
from tests.support.live_gateway import LiveGateway, begun_gateway, eventually, live_gateway
from tests.support.realtime_frames import fault

KEY, READER = new_key(), new_key()
SITE = "https://shop.example.com"
HEARERS = 3


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    settings = {
        "http": {"api_keys": [KEY], "read_keys": [READER]},
        "realtime": {
            "enabled": True, "workers": 1, "sessions_per_worker": HEARERS, "max_session_s": 12.0,
            "max_message_bytes": 100_000, "events_per_s": 50, "allowed_origins": [SITE],
        },
        "agents": {"desk": {"greeting": "Good morning."}},
    }  # fmt: skip
    running = begun_gateway(tmp_path_factory.mktemp("bad"), settings)
    try:
        asyncio.run(eventually(lambda: ask(running, "GET", "/readyz") == 200, 90, "readiness"))
        yield running
    finally:
        assert running.gateway.stop() == 0


def ask(place: LiveGateway, method: str, path: str, body: Any = None) -> Any:
    """Ask with a key; return the status of a GET, the answer to a POST."""
    headers = {"Authorization": f"Bearer {KEY}"}
    url = f"http://127.0.0.1:{place.http_port}"
    try:
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
            found = client.request(method, path, json=body)
    except httpx.TransportError:
        return 0
    return found.status_code if method == "GET" else found


def session(place: LiveGateway, key: str = KEY, **more: Any) -> websockets.connect:
    url = f"ws://127.0.0.1:{place.http_port}/v1/realtime?model=desk"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return websockets.connect(url, additional_headers=headers, **more)


async def answer(client: ClientConnection, *kinds: str) -> dict[str, Any]:
    """Return the next event of one of these kinds; all are valid."""
    async with asyncio.timeout(15):
        while True:
            event: dict[str, Any] = json.loads(await client.recv())
            assert not fault(event), fault(event)
            if event["type"] in kinds:
                return event


async def closed(client: ClientConnection) -> tuple[int, str]:
    """Wait for the close; return its code and reason."""
    async with asyncio.timeout(25):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.recv()
        await client.wait_closed()
    return client.close_code or 0, client.close_reason or ""


async def alive(client: ClientConnection) -> None:
    await client.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
    await answer(client, "session.updated")


def test_wrong_frames_are_answered_and_the_session_lives(place: LiveGateway) -> None:
    odd = base64.b64encode(b"abc").decode()
    frames = [
        ("{", "invalid_json"), ("[1]", "invalid_type"), ("\x00", "invalid_json"),
        (b"\xff\xfe", "invalid_json"), ("{}", "missing_required_parameter"),
        ('{"type": 4}', "missing_required_parameter"), ('{"type": "x"}', "invalid_value"),
        ('{"type": "input_audio_buffer.append"}', "missing_required_parameter"),
        ('{"type": "input_audio_buffer.append", "audio": "?"}', "invalid_value"),
        (json.dumps({"type": "input_audio_buffer.append", "audio": odd}), "invalid_value"),
        ('{"type": "session.update", "session": 5}', "invalid_type"),
        ("[" * 50_000, "invalid_json"),
    ]  # fmt: skip

    async def scenario() -> None:
        async with session(place) as client:
            for frame, code in frames:
                await client.send(frame)
                assert (await answer(client, "error"))["error"]["code"] == code, frame[:60]
            await alive(client)

    asyncio.run(scenario())


def test_too_large_a_message_closes_and_the_others_go_on(place: LiveGateway) -> None:
    async def scenario() -> None:
        async with session(place) as other, session(place) as client:
            await client.send("x" * 200_000)
            assert (await closed(client))[0] == 1009
            await alive(other)

    asyncio.run(scenario())


def test_too_many_events_are_answered_once_and_not_done(place: LiveGateway) -> None:
    async def scenario() -> None:
        async with session(place) as client:
            for _ in range(300):
                await client.send('{"type": "input_audio_buffer.clear"}')
            error = (await answer(client, "error"))["error"]
            assert error["code"] == "rate_limit_exceeded"
            await asyncio.sleep(1.1)  # the allowance is of a second
            await alive(client)

    asyncio.run(scenario())


def test_a_session_ends_after_its_time_with_a_clean_close(place: LiveGateway) -> None:
    async def scenario() -> None:
        async with session(place) as client:
            assert await closed(client) == (1000, "session_expired")

    asyncio.run(scenario())


def test_keys_secrets_and_sites(place: LiveGateway) -> None:
    """Which clients may open a session: 401, 403, or they are in."""

    async def refused(status: int, key: str = "", **more: Any) -> None:
        with pytest.raises(InvalidStatus) as found:
            async with session(place, key, **more):
                pass
        assert found.value.response.status_code == status

    def browser(key: str) -> list[Any]:
        return ["realtime", f"openai-insecure-api-key.{key}"]

    async def scenario() -> None:
        await refused(401)
        await refused(401, "wrong")
        await refused(403, READER)
        await refused(401, subprotocols=browser("ek_unknown"))
        made = await asyncio.to_thread(
            ask, place, "POST", "/v1/realtime/client_secrets",
            {"session": {"type": "realtime", "model": "desk", "output_modalities": ["text"]}},
        )  # fmt: skip
        secret = made.json()["value"]
        assert secret.startswith("ek_")
        await refused(403, subprotocols=browser(secret), origin="https://evil.example")
        async with session(place, "", subprotocols=browser(secret), origin=SITE) as client:
            assert client.subprotocol == "realtime"
            created = await answer(client, "session.created")
            assert created["session"]["output_modalities"] == ["text"]
        answered = await asyncio.to_thread(
            ask, place, "POST", "/v1/realtime/client_secrets", {"session": {"model": "nobody"}}
        )
        assert answered.status_code == 422
        assert "desk" in answered.text

    asyncio.run(scenario())


def in_progress(place: LiveGateway) -> list[dict[str, Any]]:
    return [call for call in place.records() if call["state"] != "finished"]


def test_more_sessions_than_there_is_room_for_are_refused(place: LiveGateway) -> None:
    async def scenario() -> None:
        await eventually(lambda: not in_progress(place), 20, "room")
        held = [await session(place) for _ in range(HEARERS)]
        try:
            for client in held:
                await answer(client, "session.created")
            async with session(place) as client:
                error = (await answer(client, "error"))["error"]
                assert error["code"] == "session_limit_reached"
                assert (await closed(client))[0] == 1013
        finally:
            for client in held:
                await client.close()

    asyncio.run(scenario())


def test_a_gateway_that_ends_closes_with_going_away(tmp_path: Path) -> None:
    settings = {"realtime": {"enabled": True, "workers": 1}, "agents": {"desk": {}}}
    with live_gateway(tmp_path, settings) as running:

        async def scenario() -> None:
            async with session(running, "") as client:
                await answer(client, "session.created")
                running.process.send_signal(signal.SIGTERM)
                assert (await closed(client))[0] == 1001

        asyncio.run(scenario())
