"""Engines are shared by their settings, counted once per configuration, and closed by the last."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.config.models import AgentConfig
from gateway.process.agents import Agents
from gateway.process.engine_pool import EnginePool
from gateway.providers import registry
from tests.support.fake_line import (
    ScriptedDetection,
    ScriptedModel,
    ScriptedRecognizer,
    ScriptedVoice,
)

KINDS = {
    "stt": ScriptedRecognizer,
    "llm": ScriptedModel,
    "tts": ScriptedVoice,
    "vad": ScriptedDetection,
}


@pytest.fixture
def made(monkeypatch):
    """Collect every engine that is built, and count how often each was closed."""
    engines = []

    def create(kind, _table):
        engine = KINDS[kind]()
        engine.closed = 0

        async def close():
            engine.closed += 1

        engine.close = close
        engines.append(engine)
        return engine

    monkeypatch.setattr(registry, "create", create)
    return engines


def agents(pool, *names, **settings):
    return Agents({name: AgentConfig(**settings) for name in names}, Path(), pool)


def test_agents_with_the_same_settings_share_their_engines(made):
    both = agents(EnginePool(), "desk", "sales")
    assert len(made) == len(KINDS)
    assert both.by_name["desk"].voice is both.by_name["sales"].voice
    asyncio.run(both.close())
    assert [engine.closed for engine in made] == [1, 1, 1, 1]


def test_a_reload_keeps_the_engines_until_the_last_configuration_is_gone(made):
    pool = EnginePool()
    before, after = agents(pool, "desk"), agents(pool, "desk", "sales")
    assert len(made) == len(KINDS)
    asyncio.run(before.close())
    assert [engine.closed for engine in made] == [0, 0, 0, 0]
    asyncio.run(after.close())
    assert [engine.closed for engine in made] == [1, 1, 1, 1]
    asyncio.run(agents(pool, "desk").close())
    assert [engine.closed for engine in made] == [1] * 8  # made anew after the last had gone


def test_connections_are_kept_ready_for_the_configuration_that_takes_calls(monkeypatch):
    kept = {}

    class Engine(ScriptedModel):
        def __init__(self, name):
            super().__init__()
            self.turns, self.takes_tools, self.keep_warm = "engine", True, None
            self.keep_warm = lambda count: kept.__setitem__(name, count)

    def create(kind, table):
        return KINDS[kind]() if kind != "s2s" else Engine(table.provider)

    monkeypatch.setattr(registry, "create", create)

    async def main():
        pool = EnginePool()
        one, two = ({"provider": name, "warm_sessions": 2} for name in ("one", "two"))
        old = agents(pool, "a", "b", s2s=one)
        await old.warm_up()
        assert kept == {"one": 2}
        new = Agents({"a": AgentConfig(s2s=one | {"warm_sessions": 3}),
                      "b": AgentConfig(s2s=two)}, Path(), pool)  # fmt: skip
        await new.warm_up()
        old.cool_down(but=new)
        assert kept == {"one": 3, "two": 2}
        last = agents(pool, "a", s2s=two)
        await last.warm_up()
        new.cool_down(but=last)
        assert kept == {"one": 0, "two": 2}
        last.cool_down()
        assert kept == {"one": 0, "two": 0}

    asyncio.run(main())


def test_other_settings_make_another_engine(made):
    pool = EnginePool()
    before = agents(pool, "desk", tts={"provider": "espeak", "voice": "en-us"})
    after = agents(pool, "desk", tts={"provider": "espeak", "voice": "de"})
    assert [type(engine) for engine in made].count(ScriptedVoice) == 2
    asyncio.run(before.close())
    assert (
        sum(engine.closed for engine in made) == 1
    )  # the voice; recognizer and model are still used
    asyncio.run(after.close())
    assert [engine.closed for engine in made] == [1] * 5


def test_a_configuration_that_cannot_be_built_leaves_nothing_taken(made, monkeypatch):
    pool = EnginePool()
    good = agents(pool, "desk")

    def broken(kind, table):
        raise ValueError(kind, table)

    monkeypatch.setattr(registry, "create", broken)
    with pytest.raises(ValueError, match="tts"):
        agents(pool, "desk", tts={"provider": "espeak", "voice": "de"})
    asyncio.run(good.close())
    assert [engine.closed for engine in made] == [1, 1, 1, 1]
