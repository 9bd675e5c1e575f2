"""Realtime sessions with a language model: functions of both sides, items, written answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.audio.format import AudioFormat
from tests.integration.test_speech_to_speech import ENGINE, GREETING
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.llm_server import Answer, Call, LlmServer
from tests.support.plug_in import plug_in
from tests.support.realtime_client import RealtimeClient, realtime_client

BOOK = {
    "type": "function", "name": "book_table", "description": "Book a table.",
    "parameters": {"type": "object", "properties": {"guests": {"type": "integer"}}},
}  # fmt: skip
TOOL = "gateway.script.examples.front_desk_tools:opening_hours"
PCMU = AudioFormat(8000, encoding="pcmu")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveGateway, int]]:
    llm_port = free_port()
    llm = {"provider": "openai", "model": "m", "api_key": "x"}
    llm["base_url"] = f"http://127.0.0.1:{llm_port}/v1"
    folder = tmp_path_factory.mktemp("model")
    environ = plug_in(folder / "plug-in", "s2s", "scripted_speech", ENGINE)
    environ["PYTHONPATH"] += f":{Path(__file__).parents[2]}"
    engine = {"provider": "scripted_speech", "log": str(folder / "engine.log")}
    settings = {
        "realtime": {"enabled": True, "workers": 1},
        "agents": {
            "desk": {"instructions": "You are the desk.", "llm": llm, "tools": [TOOL]},
            "engine": {"greeting": GREETING, "s2s": engine, "tools": [TOOL]},
        },
    }
    with live_gateway(folder, settings, environ) as running:
        yield running, llm_port


@asynccontextmanager
async def talking(
    place: tuple[LiveGateway, int], *script: Answer, **session: Any
) -> AsyncIterator[tuple[RealtimeClient, LlmServer]]:
    gateway, llm_port = place
    async with (
        LlmServer(*script, port=llm_port) as llm,
        realtime_client(gateway.http_port, "desk") as client,
    ):
        if session:
            await client.send("session.update", session={"type": "realtime", **session})
            await client.wait("session.updated")
        yield client, llm


def text(said: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": said}]
    return {"type": "message", "role": "user", "content": content, **more}


def asked(llm: LlmServer, number: int = -1) -> list[dict[str, Any]]:
    """Messages of a request to the model, without the instructions."""
    messages: list[dict[str, Any]] = llm.completions[number].body["messages"]
    return [message for message in messages if message["role"] != "system"]


def test_functions_of_the_client_beside_tools_of_the_gateway(
    place: tuple[LiveGateway, int],
) -> None:
    calls = (
        Call("opening_hours", '{"day": "monday"}', id="call_1"),
        Call("book_table", '{"guests": 2}', id="call_2"),
    )

    async def scenario() -> None:
        script = (Answer("One moment.", calls=calls), Answer("Your table is booked."))
        async with talking(place, *script, tools=[BOOK]) as (client, llm):
            await client.send("conversation.item.create", item=text("A table for two, please."))
            await client.send("response.create", response={"metadata": {"turn": "1"}})
            called = await client.wait("response.function_call_arguments.done")
            assert (called["name"], called["arguments"]) == ("book_table", '{"guests": 2}')
            done = (await client.wait("response.done"))["response"]
            assert [item["type"] for item in done["output"]] == ["message", "function_call"]
            assert done["metadata"] == {"turn": "1"}
            assert done["usage"]["total_tokens"] > 0
            tools = {tool["function"]["name"] for tool in llm.completions[0].body["tools"]}
            assert {"opening_hours", "book_table"} <= tools
            since = len(client.events)
            output = {"type": "function_call_output", "call_id": "call_2", "output": "table 7"}
            await client.send("conversation.item.create", item=output)
            await client.send("response.create")
            done = (await client.wait("response.done", since=since))["response"]
            assert done["output"][0]["content"][0]["transcript"] == "Your table is booked."
            results = {m["tool_call_id"]: m["content"] for m in asked(llm) if m["role"] == "tool"}
            assert results["call_2"] == "table 7"
            assert "seven" in results["call_1"]

    asyncio.run(scenario())


def test_items_are_edited_and_the_model_knows_what_was_played(
    place: tuple[LiveGateway, int],
) -> None:
    async def scenario() -> None:
        long = "We have coffee and tea and water and juice and milk and beer and wine today."
        script = (Answer(long), Answer("Yes."), Answer("Written."))
        async with talking(place, *script) as (client, llm):
            await client.send("conversation.item.create", item=text("What is there?", id="a"))
            await client.send("response.create")
            spoken = (await client.wait("response.done"))["response"]["output"][0]
            await client.send("conversation.item.truncate", item_id=spoken["id"],
                              content_index=0, audio_end_ms=1500)  # fmt: skip
            await client.wait("conversation.item.truncated")
            await client.send("conversation.item.retrieve", item_id=spoken["id"])
            item = (await client.wait("conversation.item.retrieved"))["item"]
            heard = item["content"][0]["transcript"]
            assert long.startswith(heard)
            assert 0 < len(heard) < len(long) * 0.6
            await client.send("conversation.item.delete", item_id="a")
            await client.wait("conversation.item.deleted")
            await client.send("conversation.item.create", item=text("Is there tea?", id="b"))
            since = len(client.events)
            await client.send("response.create", response={"instructions": "Say yes or no."})
            await client.wait("response.done", since=since)
            said = [(m["role"], m["content"]) for m in asked(llm)]
            # As with a call: the mark shows the model that it was cut short.
            assert said[-2:] == [("assistant", f"{heard}…"), ("user", "Is there tea?")]
            assert "What is there?" not in str(said)
            system = llm.completions[-1].body["messages"][0]["content"]
            assert system.startswith("Say yes or no.")
            since = len(client.events)
            aside = {
                "conversation": "none", "output_modalities": ["text"], "metadata": {"kind": "sum"},
                "input": [{"type": "item_reference", "id": "b"}],
            }  # fmt: skip
            await client.send("response.create", response=aside)
            done = (await client.wait("response.done", since=since))["response"]
            assert done["output"][0]["content"][0]["text"] == "Written."
            assert (done["conversation_id"], done["metadata"]) == (None, {"kind": "sum"})
            assert "conversation.item.added" not in client.kinds(since)

    asyncio.run(scenario())


def test_a_response_is_cancelled_and_the_session_goes_on(place: tuple[LiveGateway, int]) -> None:
    async def scenario() -> None:
        script = (Answer("word " * 60), Answer("Good."))
        async with talking(place, *script) as (client, _):
            await client.send("conversation.item.create", item=text("Tell me a story."))
            await client.send("response.create")
            await client.wait("response.output_audio.delta")
            await client.send("response.cancel")
            done = (await client.wait("response.done"))["response"]
            assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
            since = len(client.events)
            await client.send("response.cancel", event_id="late")
            error = (await client.wait("error", since=since))["error"]
            assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "late")
            await client.send("response.create")
            assert (await client.wait("response.done", since=since))["response"][
                "status"
            ] == "completed"

    asyncio.run(scenario())


def test_a_transcription_session_answers_nothing(place: tuple[LiveGateway, int]) -> None:
    async def scenario() -> None:
        gateway, _ = place
        extra = {"extra_query": {"intent": "transcription"}}
        async with realtime_client(gateway.http_port, "desk", **extra) as client:
            audio = {"input": {"transcription": {"model": "x"}, "format": {"type": "audio/pcmu"}}}
            await client.send("session.update", session={"type": "transcription", "audio": audio})
            updated = (await client.wait("session.updated"))["session"]
            assert updated["type"] == "transcription"
            await client.say("When are you open on Saturday?", fmt=PCMU)
            heard = await client.wait("conversation.item.input_audio_transcription.completed")
            assert "saturday" in heard["transcript"].lower()
            await client.send("response.create", event_id="no")
            assert (await client.wait("error"))["error"]["event_id"] == "no"
            assert "response.created" not in client.kinds()

    asyncio.run(scenario())


def test_an_engine_that_hears_and_speaks_is_behind_the_same_protocol(
    place: tuple[LiveGateway, int],
) -> None:
    async def scenario() -> None:
        gateway, _ = place
        async with realtime_client(gateway.http_port, "engine") as client:
            session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            await client.send("session.update", session=session, event_id="manual")
            error = (await client.wait("error"))["error"]
            assert error["event_id"] == "manual"
            assert "engine" in error["message"]
            await client.send("response.create")
            done = (await client.wait("response.done"))["response"]
            assert done["output"][0]["content"][0]["transcript"] == GREETING
            since = len(client.events)
            await client.say("Tell me a story, please.", 4.0)
            await client.wait("response.output_audio_transcript.delta", since=since)
            await client.wait("input_audio_buffer.committed", since=since)
            created = await client.wait("response.created", since=since)
            assert client.audio_s(created["response"]["id"]) > 0.5

    asyncio.run(scenario())
