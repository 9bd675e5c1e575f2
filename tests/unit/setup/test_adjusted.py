"""Settings that are asked for in a call are checked as the files are, and all or none hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.models import AgentConfig, GatewayConfig
from gateway.config.models.pace import paced
from gateway.errors import CommandError
from gateway.setup.adjusted import adjusted
from gateway.setup.engines import checked_engines
from gateway.setup.routes import Routes

OPENAI = {"provider": "openai", "model": "m", "api_key": "secret", "temperature": 0.7}
NO_NAMES = Routes(GatewayConfig(), Path())
REALTIME = {"provider": "openai_realtime", "api_key": "secret", "speed": 1.0}


def agent(**settings: Any) -> AgentConfig:
    faults: list[Any] = []
    config = AgentConfig(llm=OPENAI, tts={"provider": "flite", "rate": 1.2}, **settings)
    checked = checked_engines(config, Path("/etc/gateway"), faults, NO_NAMES)
    assert faults == []
    return checked


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"instrctions": "x"}, 'instrctions: unknown key (did you mean "instructions"?)'),
        ({"record": False}, "record: cannot be changed in a call"),
        ({"llm": {"temprature": 1}}, 'llm.temprature: unknown key (did you mean "temperature"?)'),
        ({"llm": {"temperature": 9}}, "llm.temperature: "),
        ({"llm": {"base_url": "http://evil/v1"}}, "llm.base_url: cannot be changed in a call"),
        ({"llm": {"api_key": "x"}}, "llm.api_key: cannot be changed in a call"),
        ({"llm": {"headers": {}}}, "llm.headers: cannot be changed in a call"),
        ({"tts": {"rate": 9}}, "tts.rate: "),
        ({"tts": {"provider": "flight"}}, 'did you mean "flite"?'),
        ({"tts": "flite"}, "tts: "),
        ({"turn": {"eagerness": "lo"}}, "turn.eagerness: "),
        ({"turn": {"by": "both"}}, "turn.by: cannot be changed in a call"),
        ({"language": "de"}, "language: cannot be changed in a call"),
        ({"s2s": {"speed": 1.1}}, "s2s: this agent has no such engine"),
        ({"llm": {"temperature": 9}, "tts": {"voice": "x"}}, "; tts.voice: "),
    ],
)
def test_each_fault_is_named_with_its_key(wanted: dict[str, Any], problem: str):
    with pytest.raises(CommandError) as found:
        adjusted(agent(), wanted, Path())
    assert found.value.status == 422
    assert problem in found.value.reason
    assert "secret" not in found.value.reason


def test_what_is_not_named_stays_and_secrets_are_kept():
    before = agent()
    after = adjusted(before, {"llm": {"temperature": 0.1}, "turn": {"barge_in": {}}}, Path())
    assert after.llm.rest()["temperature"] == 0.1
    assert after.llm.settings.api_key.get_secret_value() == "secret"
    assert after.llm.rest()["model"] == "m"
    assert (after.tts, after.turn, after.greeting) == (before.tts, before.turn, before.greeting)


def test_another_provider_begins_without_the_settings_of_the_one_before():
    after = adjusted(agent(), {"tts": {"provider": "espeak", "words_per_minute": 120}}, Path())
    assert (after.tts.provider, after.tts.rest()) == ("espeak", {"words_per_minute": 120})


def test_the_table_of_a_speech_engine_keeps_what_the_gateway_does_with_it():
    before = agent(s2s=REALTIME | {"on_failure": "apologize"})
    after = adjusted(before, {"s2s": {"speed": 0.9}}, Path())
    assert after.s2s is not None
    assert (after.s2s.on_failure, after.s2s.settings.speed) == ("apologize", 0.9)
    for wanted in ({"provider": "moshi"}, {"warm_sessions": 9}, {"base_url": "wss://evil"}):
        with pytest.raises(CommandError, match="cannot be changed in a call"):
            adjusted(before, {"s2s": wanted}, Path())


def test_paces_are_steps_within_the_limits_of_the_engine():
    first = agent().tts
    slower = adjusted(agent(), {"tts": paced(first, first, "slower")}, Path()).tts
    assert slower.rest()["rate"] == 0.96
    slowest = adjusted(agent(), {"tts": {"rate": 0.55}}, Path()).tts
    assert paced(slowest, first, "slower") == {"rate": 0.5}
    assert paced(slowest, first, "normal") == {"rate": 1.2}
    espeak = adjusted(agent(), {"tts": {"provider": "espeak"}}, Path()).tts
    assert paced(espeak, espeak, "faster") == {"words_per_minute": 206}
    realtime = agent(s2s=REALTIME).s2s
    assert realtime is not None
    assert paced(realtime, realtime, "slower") == {"speed": 0.8}


def test_a_tool_for_the_rate_needs_an_engine_that_has_one():
    faults: list[Any] = []
    moshi = {"provider": "moshi", "base_url": "ws://127.0.0.1:1", "on_failure": "apologize"}
    config = AgentConfig(builtin_tools=("speaking_rate",), s2s=moshi)
    checked_engines(config, Path(), faults, NO_NAMES)
    assert any("has no setting of its rate" in text for _, text in faults)


def test_what_a_router_chooses_stays_and_a_provider_replaces_it():
    names = GatewayConfig.model_validate(
        {"engines": {"own": {**OPENAI, "kind": "llm"}}, "routers": {"r": {"try": ["own"]}}}
    )
    faults: list[Any] = []
    config = AgentConfig.model_validate({"llm": "r", "tts": {"provider": "flite"}})
    before = checked_engines(config, Path(), faults, Routes(names, Path()))
    assert faults == []
    assert adjusted(before, {"instructions": "x"}, Path()).llm == before.llm
    for wanted in ({"temperature": 1}, "other", {"use": "own"}):
        with pytest.raises(CommandError, match="cannot be changed in a call"):
            adjusted(before, {"llm": wanted}, Path())
    after = adjusted(before, {"llm": {"provider": "script"}}, Path())
    assert (after.llm.provider, after.llm.plan) == ("script", None)
