"""Engines that do not work at the start: who is waited for, and who is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.config.models import AgentConfig
from gateway.errors import ProviderRejected, ProviderTimeout, ProviderUnavailable
from gateway.process.agents import Agents
from gateway.providers import registry
from tests.support.fake_line import (
    ScriptedDetection,
    ScriptedModel,
    ScriptedRecognizer,
    ScriptedVoice,
)
from tests.support.virtual_time import run


def agents_with(monkeypatch, **failing):
    engines = {"stt": ScriptedRecognizer(), "llm": ScriptedModel(), "tts": ScriptedVoice()}
    engines["vad"] = ScriptedDetection()

    def failing_warm_up(error):
        async def warm_up():
            raise error

        return warm_up

    for kind, error in failing.items():
        engines[kind].warm_up = failing_warm_up(error)
    monkeypatch.setattr(registry, "create", lambda kind, _table: engines[kind])
    return Agents({"desk": AgentConfig(greeting="Hello.")}, Path())


@pytest.mark.parametrize("error", [ProviderUnavailable, ProviderTimeout])
def test_a_language_model_may_come_up_later(monkeypatch, error):
    agents = agents_with(monkeypatch, llm=error("acme", "nobody there"))
    run(agents.warm_up())
    assert agents.by_name["desk"].voice.rendered("Hello.")


@pytest.mark.parametrize("mark", ["is_remote", "open_session"])
@pytest.mark.parametrize("kind", ["stt", "tts"])
def test_a_vendor_may_come_up_later(monkeypatch, kind, mark):
    agents = agents_with(monkeypatch, **{kind: ProviderUnavailable("acme", "nobody there")})
    engine = registry.create(kind, {})
    monkeypatch.setattr(engine, mark, True, raising=False)
    run(agents.warm_up())


def test_a_vendor_that_cannot_be_reached_renders_nothing_ahead_and_ends_nothing(monkeypatch):
    agents = agents_with(monkeypatch)
    voice = registry.create("tts", {})
    voice.is_remote = True
    voice.fails = lambda _text: ProviderTimeout("acme", "nothing came")
    run(agents.warm_up())
    assert not agents.by_name["desk"].voice.rendered("Hello.")
    voice.fails = lambda _text: ProviderRejected("acme", "the key is refused")
    with pytest.raises(ProviderRejected):
        run(agents.warm_up())


@pytest.mark.parametrize(
    "failing",
    [
        {"llm": ProviderRejected("acme", "the key is refused")},
        {"stt": ProviderTimeout("acme", "nobody there")},
        {"tts": ProviderUnavailable("acme", "nobody there")},
        {"vad": ProviderUnavailable("acme", "nobody there")},
    ],
)
def test_nothing_is_served_without_the_others_or_with_a_wrong_key(monkeypatch, failing):
    agents = agents_with(monkeypatch, **failing)
    with pytest.raises(type(*failing.values())):
        run(agents.warm_up())


KNOWN = ("One.", "Two.", "Three.")


def test_known_texts_are_rendered_one_by_one_while_it_is_quiet(monkeypatch):
    """A worker accepts calls before; they come first."""

    async def scenario():
        agents = agents_with(monkeypatch)
        agents.by_name["desk"].llm.known_texts = KNOWN
        voice = agents.by_name["desk"].voice
        quiet = asyncio.Semaphore(0)
        rendering = asyncio.ensure_future(agents.render_known_texts(quiet.acquire))
        for count in range(len(KNOWN) + 1):
            await asyncio.sleep(10)
            assert [text for text in KNOWN if voice.rendered(text)] == [*KNOWN[:count]]
            quiet.release()
        await rendering

    run(scenario())


def test_a_known_text_that_cannot_be_rendered_ends_nothing(monkeypatch):
    async def scenario():
        agents = agents_with(monkeypatch)
        desk = agents.by_name["desk"]
        desk.llm.known_texts = KNOWN
        failing = ProviderUnavailable("acme", "gone")
        desk.voice._synthesizer.fails = lambda text: failing if text == "Two." else None
        await agents.render_known_texts(lambda: asyncio.sleep(0))
        assert [bool(desk.voice.rendered(text)) for text in KNOWN] == [True, False, False]

    run(scenario())
