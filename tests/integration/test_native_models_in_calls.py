"""A whole call with each vendor's own protocol, and one with a preset, at one gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.anthropic_double import AnthropicServer
from tests.support.gateway_process import free_port
from tests.support.gemini_model_double import GeminiModelServer
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.llm_server import Answer, Call, LlmServer
from tests.support.native_models import KEY, NativeServer
from tests.support.outside import calling
from tests.support.responses_double import ResponsesServer

GREETING = "Good morning."
STORY = "Once upon a time there was a long story. " * 20
THOUGHTS = "The caller wants to know about Monday."
GOODBYE = "We open at nine. Goodbye."
DOUBLES: Mapping[str, type[LlmServer]] = {
    "anthropic": AnthropicServer,
    "gemini": GeminiModelServer,
    "openai_responses": ResponsesServer,
    "groq": LlmServer,
}
RULE = """
[[contexts.default.extensions]]
name = "{name}"
called = "{name}"
steps = [{{ talk = "{name}" }}]
"""


@dataclass(frozen=True)
class Place:
    gateway: LiveGateway
    ports: Mapping[str, int]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("models")
    (folder / "plan").mkdir()
    (folder / "plan" / "plan.toml").write_text("".join(RULE.format(name=it) for it in DOUBLES))
    ports = {name: free_port() for name in DOUBLES}
    agents = {name: agent(name, port) for name, port in ports.items()}
    with live_gateway(folder, {"agents": agents, "dialplan": {"directory": "plan"}}) as running:
        yield Place(running, ports)


def agent(name: str, port: int) -> dict[str, Any]:
    base_url = f"http://127.0.0.1:{port}/v1"
    return {
        "greeting": GREETING,
        "instructions": "You answer the telephone of a shop.",
        "speculation": {"enabled": False},  # each request takes the next line of the script
        "filler": {"after_ms": 0},
        "llm": {"provider": name, "model": "test", "base_url": base_url, "api_key": KEY},
        "tts": {"provider": "flite"},
        "tools": ["gateway.script.examples.front_desk_tools:opening_hours"],
        "llm_limits": {
            "input_cost_per_million": 1.0,
            "output_cost_per_million": 5.0,
            "cached_input_cost_per_million": 0.1,
        },
    }


@pytest.mark.parametrize("name", DOUBLES)
def test_a_story_is_cut_off_a_tool_is_called_and_the_bot_hangs_up(place: Place, name: str) -> None:
    script = (
        Answer(text=STORY, token_ms=60),
        Answer(thoughts=THOUGHTS, calls=(Call("opening_hours", '{"day": "monday"}'),)),
    )
    # Also to whatever else a busy machine makes of the caller's words.
    last = Answer(text=GOODBYE, calls=(Call("hang_up", id="call_2"),))

    async def scenario() -> dict[str, Any]:
        uri = place.gateway.uri(name)
        double = DOUBLES[name](*script, default=last, port=place.ports[name])
        async with double as server, calling(uri) as phone:
            if isinstance(server, NativeServer):
                server.cached = 10
            await phone.bot_is_done()
            phone.media.press("1#")  # keys, not speech: this is about language models
            await phone.until(lambda: bool(server.completions), 20, "a request")
            await phone.bot_speaks(20, phone.listener.last_ns or 0)
            since_s = time.monotonic()
            await phone.until(lambda: time.monotonic() > since_s + 2, 5, "some words")
            phone.media.press("2#")
            async with asyncio.timeout(10):
                await server.completions[0].disconnected.wait()
            await phone.ended(25)
            assert not server.completions[0].finished.is_set()
            if isinstance(server, NativeServer):
                assert server.strange == []
            assert len(server.completions) >= 3
        return await place.gateway.finished(phone.sip_call_id)

    record = asyncio.run(scenario())
    assert record["end_reason"] == "bot_hung_up"
    turns = record["turns"]
    story = next(turn for turn in turns if turn["bot_text_heard"].startswith("Once upon"))
    assert story["interrupted"]
    assert len(story["bot_text_heard"]) < len(STORY)
    assert turns[-1]["bot_text_heard"] == GOODBYE
    called = [tool["name"] for turn in turns for tool in turn["tools"]]
    assert called == ["opening_hours", "hang_up"]
    assert "Monday" not in str([turn["bot_text_heard"] for turn in turns])  # a thought
    (used,) = (each for each in record["usage"] if each["kind"] == "llm")
    assert used["provider"] == name
    assert used["requests"] >= 3
    assert used["input_tokens"] > 0
    assert used["cost"] > 0
    assert (used["cached_tokens"] >= 20) is (name != "groq")
