"""Sessions of the realtime API by the front door: the vendor's SDK against a real gateway."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.realtime_client import RealtimeClient, realtime_client

TOOL = "gateway.script.examples.front_desk_tools:opening_hours"
ANSWER = [
    "response.created", "rate_limits.updated", "response.output_item.added",
    "conversation.item.added", "response.content_part.added",
]  # fmt: skip
END = [
    "response.output_audio.done", "response.output_audio_transcript.done",
    "response.content_part.done", "response.output_item.done", "conversation.item.done",
    "response.done",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    settings = {
        "realtime": {"enabled": True, "workers": 1, "sessions_per_worker": 3},
        "agents": {"desk": {"greeting": "Good morning. How can I help?", "tools": [TOOL]}},
    }
    with live_gateway(tmp_path_factory.mktemp("realtime"), settings) as running:
        yield running


async def greeted(client: RealtimeClient) -> None:
    await client.send("response.create")
    await client.wait("response.done")


def test_a_client_of_the_sdk_talks_to_an_agent(place: LiveGateway) -> None:
    """Greeting, a spoken question, its answer; every frame is valid, in the protocol's order."""

    async def scenario() -> str:
        async with realtime_client(place.http_port, "desk") as client:
            transcription = {"model": "gpt-transcribe"}
            audio = {"input": {"transcription": transcription}}
            await client.send("session.update", session={"type": "realtime", "audio": audio})
            updated = (await client.wait("session.updated"))["session"]
            assert updated["audio"]["input"]["turn_detection"]["interrupt_response"] is True
            await greeted(client)
            since = len(client.events)
            await client.say("When are you open on Saturday?")
            done = await client.wait("response.done", since=since)
            kinds = [k for k in client.kinds(since) if "delta" not in k]
            assert kinds[:6] == [
                "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed", "conversation.item.added",
                "conversation.item.done",
                "conversation.item.input_audio_transcription.completed",
            ]  # fmt: skip
            assert kinds[6:] == [*ANSWER, *END]
            heard = await client.wait("conversation.item.input_audio_transcription.completed")
            assert "saturday" in heard["transcript"].lower()
            response = done["response"]
            assert response["status"] == "completed"
            assert "eight to four" in response["output"][0]["content"][0]["transcript"]
            assert 1.0 < client.audio_s(response["id"]) < 10.0
            return str(client.events[0]["session"]["id"])

    session_id = asyncio.run(scenario())
    call = place.gateway.call_of(session_id)
    assert (call["end_reason"], call["codec"]) == ("caller_hung_up", "L16/24000")
    assert [turn["caller_text"] is not None for turn in call["turns"]] == [False, True]
    assert 0 < call["turns"][1]["response_gap_ms"] < 3000
    maps = Path(f"/proc/{place.child('realtime-worker')}/maps").read_text()
    assert "pjsua" not in maps, "it has loaded the SIP library"


def test_the_caller_interrupts_and_what_was_not_heard_is_not_in_the_item(
    place: LiveGateway,
) -> None:
    async def scenario() -> None:
        async with realtime_client(place.http_port, "desk") as client:
            await greeted(client)
            since = len(client.events)
            await client.say("What drinks do you have?")
            await client.wait("response.output_audio_transcript.delta", since=since, count=2)
            await client.say("Stop, when are you open on Saturday?", 0.5)
            cut = await client.wait(
                "response.done", since=since, where=lambda e: e["response"]["status"] != "completed"
            )
            response = cut["response"]
            assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
            item = response["output"][0]
            assert item["status"] == "incomplete"
            said = "".join(
                e["delta"]
                for e in client.events
                if e["type"] == "response.output_audio_transcript.delta"
                and e["response_id"] == response["id"]
            )
            assert len(item["content"][0]["transcript"]) <= len(said)
            started = [e["type"] for e in client.events].index(
                "input_audio_buffer.speech_started", since + 1
            )
            assert client.events.index(cut) > started

    asyncio.run(scenario())


def test_manual_turns_and_written_answers(place: LiveGateway) -> None:
    async def scenario() -> None:
        async with realtime_client(place.http_port, "desk") as client:
            await greeted(client)
            await client.send("session.update", session={
                "type": "realtime", "output_modalities": ["text"],
                "audio": {"input": {"turn_detection": None, "transcription": {"model": "x"}}},
            })  # fmt: skip
            await client.wait("session.updated")
            since = len(client.events)
            await client.send("input_audio_buffer.commit", event_id="early")
            error = (await client.wait("error", since=since))["error"]
            assert (error["code"], error["event_id"]) == (
                "input_audio_buffer_commit_empty", "early",
            )  # fmt: skip
            await client.say("When are you open on Saturday?", 0.2)
            await client.send("input_audio_buffer.commit")
            await client.send("response.create")
            done = await client.wait("response.done", since=since)
            kinds = client.kinds(since)
            assert "input_audio_buffer.speech_started" not in kinds
            heard = await client.wait(
                "conversation.item.input_audio_transcription.completed", since=since
            )
            assert "saturday" in heard["transcript"].lower()
            content = done["response"]["output"][0]["content"][0]
            assert content["type"] == "output_text"
            assert "eight to four" in content["text"]
            assert "response.output_audio.delta" not in kinds

    asyncio.run(scenario())


def test_a_name_without_an_agent_is_an_error_that_lists_them(place: LiveGateway) -> None:
    async def scenario() -> None:
        async with realtime_client(place.http_port, "nobody", wait=False) as client:
            await eventually(lambda: client.close_code is not None, 10, "a close")
            error = client.events[0]["error"]
            assert error["code"] == "model_not_found"
            assert "desk" in error["message"]
            assert client.close_code == 1008

    asyncio.run(scenario())


def test_the_example_of_the_documentation(place: LiveGateway, tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "realtime.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    program = tmp_path / "example.py"
    program.write_text(code.replace("front-desk", "desk"), encoding="utf-8")
    url = f"http://127.0.0.1:{place.http_port}/v1"
    ran = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "GATEWAY_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Good morning. How can I help?" in ran.stdout
    assert "s of audio" in ran.stdout
