"""Language model, voice and recognition that are down, slow, stall, send garbage, close early.

The caller hears something within two seconds, measured on the wire; the call goes on, and is
answered as ever once the engine is well again; its record says what has happened.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import HEARD_WITHIN_MS, ask, is_quiet
from tests.support.beside import beside
from tests.support.faulty_engines import FaultyPath, VoiceServer
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.llm_server import Answer, LlmServer
from tests.support.outside import calling
from tests.support.plug_in import plug_in

SETTLED_MS = 2800
"""Longer than the silence between a filler and what follows it here."""
GREETING = "Good morning."
ANSWER = "We open at eight. And we close again at six."
FALLBACK = "Sorry, something went wrong. Say that again, please."
QUESTION = "When do you open tomorrow?"
DOCUMENT = Path(__file__).parents[3] / "docs" / "add-a-provider.md"

WELL = Answer(text=ANSWER)
MODELS = {
    "slow": Answer(text=ANSWER, first_token_ms=3000),
    "stalls": Answer(text=ANSWER, stall_after=7),
    "garbage": Answer(raw=b'data: {"choices": [{"del\n\n<html>'),
    "closes": Answer(text=ANSWER, close_after=0),
}
VOICES = ("down", "slow", "stall", "garbage")
PATHS = ("slow", "stall", "garbage", "close")


@dataclass
class Place:
    gateway: LiveGateway
    llm: LlmServer
    voice: VoiceServer
    paths: dict[str, FaultyPath]


def agent(**engines: Any) -> dict[str, Any]:
    return {"greeting": GREETING, "fallback": FALLBACK, **engines}


def agents(llm: LlmServer, voice: VoiceServer, paths: dict[str, FaultyPath]) -> dict[str, Any]:
    """One agent per fault; its name is the number to call."""

    def model(name: str) -> dict[str, Any]:
        return {"provider": "openai", "model": name, "base_url": llm.base_url,
                "stall_timeout_s": 2.5}  # fmt: skip

    url = f"http://127.0.0.1:{voice.port}/v1"
    nowhere = {"provider": "openai", "model": "x", "base_url": "http://llm.invalid:9/v1"}
    return {
        **{f"llm-{name}": agent(llm=model(name)) for name in MODELS},
        "llm-unknown": agent(llm=nowhere),
        "llm-down": agent(llm={**nowhere, "base_url": f"http://127.0.0.1:{free_port()}/v1"}),
        **{
            f"tts-{name}": agent(
                llm=model("well"),
                tts={"provider": "speech_server", "base_url": url, "model": name, "timeout_s": 3},
            )
            for name in VOICES
        },
        **{
            f"stt-{name}": agent(
                llm=model("well"), stt={"provider": "moonshine", "socket": str(path.socket)}
            )
            for name, path in paths.items()
        },
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("engines")
    source, _ = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    environ = plug_in(folder / "plug-in", "tts", "speech_server", source)
    with ExitStack() as stack:
        llm = stack.enter_context(beside(LlmServer(default=WELL)))
        voice = stack.enter_context(beside(VoiceServer()))
        paths = {
            name: stack.enter_context(beside(FaultyPath(folder / f"{name}.sock"))) for name in PATHS
        }
        named = agents(llm, voice, paths)
        plans = folder / "plans"
        plans.mkdir()
        (plans / "plan.toml").write_text(
            "".join(
                f'[[contexts.default.extensions]]\nname = "{name}"\ncalled = "{name}"\n'
                f'steps = [{{ talk = "{name}" }}]\n'
                for name in named
            )
        )
        # The gateway's own recognizer is needed by an agent that names no socket.
        config = {"agents": named, "dialplan": {"directory": str(plans)}}
        gateway = stack.enter_context(live_gateway(folder, config, environ))
        (socket,) = re.findall(
            r"GATEWAY_RECOGNIZER_SOCKET=([^\0]+)",
            Path(f"/proc/{gateway.worker_pid}/environ").read_text(),
        )
        for path in paths.values():
            path.behind = Path(socket)
        yield Place(gateway, llm, voice, paths)


Break = Callable[[Place, str, bool], None]


def break_llm(place: Place, name: str, is_broken: bool) -> None:
    if is_broken and name in MODELS:
        place.llm.by_model[name] = MODELS[name]
    else:
        place.llm.by_model.pop(name, None)


def break_voice(place: Place, name: str, is_broken: bool) -> None:
    place.voice.faults[name] = name if is_broken else ""


def break_path(place: Place, name: str, is_broken: bool) -> None:
    place.paths[name].fault = name if is_broken else ""


@asynccontextmanager
async def broken(place: Place, breaks: Break, name: str) -> AsyncIterator[None]:
    breaks(place, name, True)
    try:
        yield
    finally:
        breaks(place, name, False)


async def one_call(place: Place, kind: str, name: str, breaks: Break) -> None:
    """Ask while it is broken and when it is well again."""
    heals = name not in ("down", "unknown") or kind != "llm"
    async with calling(place.gateway.uri(f"{kind}-{name}")) as phone:
        await phone.bot_is_done(8)
        async with broken(place, breaks, name):
            waited_ms = await ask(phone, QUESTION)
            await phone.until(lambda: is_quiet(phone, SETTLED_MS), 12, "the bot to come to an end")
        assert waited_ms <= HEARD_WITHIN_MS, f"{kind}-{name}: {waited_ms:.0f} ms of silence"
        again_ms = await ask(phone, QUESTION)
        await phone.bot_is_done(12)
        assert again_ms <= HEARD_WITHIN_MS
        assert not phone.call.ended.is_set()
    record = await place.gateway.finished(phone.sip_call_id)
    events = place.gateway.events(record)
    assert record["end_reason"] == "caller_hung_up"
    assert record["records_errors"] == 0
    told = [e for e in events if e["kind"] == "engine_failed" or e.get("is_filler")]
    assert told, [turn["bot_text_heard"] for turn in record["turns"]]
    if heals:
        assert record["turns"][-1]["bot_text_heard"] == ANSWER, record["turns"]
        assert "open" in record["turns"][-1]["caller_text"].lower()


async def all_calls(place: Place, kind: str, names: tuple[str, ...], breaks: Break) -> None:
    """As many at once as there are slots; every failure is told."""
    slots = asyncio.Semaphore(4)

    async def call(name: str) -> None:
        async with slots:
            await one_call(place, kind, name, breaks)

    outcomes = await asyncio.gather(*map(call, names), return_exceptions=True)
    failures = {
        name: repr(error) for name, error in zip(names, outcomes, strict=True) if error is not None
    }
    assert not failures, failures


def test_a_language_model_that_fails(place: Place) -> None:
    names = (*(name for name in MODELS if name != "closes"), "unknown")
    asyncio.run(all_calls(place, "llm", names, break_llm))


def test_a_voice_that_fails(place: Place) -> None:
    asyncio.run(all_calls(place, "tts", VOICES, break_voice))


def test_a_recognizer_that_fails(place: Place) -> None:
    asyncio.run(all_calls(place, "stt", PATHS, break_path))
