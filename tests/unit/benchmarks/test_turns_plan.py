"""Settings, pairing and mixing of the harness."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from benchmarks.turns import agents, corpus
from benchmarks.turns.caller import pair
from gateway.audio.audible import LEAST
from gateway.config.models import AgentConfig
from gateway.probe.timeline import Turn
from gateway.records.model import TurnRecord
from gateway.script.loader import parse_script

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("turn.whole_ms=400", "turn.whole_ms", 400),
        ("turn.eagerness=high", "turn.eagerness", "high"),
        ("speculation.enabled=false", "speculation.enabled", False),
    ],
)
def test_a_setting_is_a_toml_value_or_a_text(text: str, key: str, value: object) -> None:
    assert agents.parse_setting(text) == (key, value)


def test_settings_reach_the_agent_and_its_surroundings() -> None:
    given = {"turn.whole_ms": 400, "turn.barge_in.digits": False, "media.echo_cancel": False}
    toml, files = agents.script_agent(given, agents.orders_script())
    found = tomllib.loads(toml)
    assert found["media"] == {"echo_cancel": False}
    agent = AgentConfig.model_validate(found["agents"]["turns"])
    assert agent.turn.whole_ms == 400
    assert list(files) == ["script.toml"]


@pytest.mark.parametrize(
    "script",
    [
        agents.orders_script(),
        agents.talker_script(),
        agents.story_script(5),
        agents.slot_script(),
    ],
)
def test_the_scripts_are_valid(script: str) -> None:
    assert parse_script(script, "script.toml").main.greeting


def said(start_s: float, end_s: float) -> Turn:
    return Turn(round(start_s * SECOND), round(end_s * SECOND), None, None, 0.0)


def reported(index: int, started_s: float, text: str = "words") -> TurnRecord:
    return TurnRecord(index=index, started_s=started_s, caller_text=text)


def test_turns_are_paired_by_the_shift_that_fits_most() -> None:
    turns = [reported(1, 1.93), reported(2, 7.02), reported(3, 8.5)]
    found = pair([said(102, 104), said(107.1, 110)], turns, 100 * SECOND)
    assert [[turn.index for turn in one] for one in found] == [[1], [2, 3]]


def test_a_key_that_was_pressed_before_is_not_the_only_utterance() -> None:
    turns = [reported(1, 3.0, "1"), reported(2, 6.0)]
    found = pair([said(106.05, 109)], turns, 100 * SECOND)
    assert [turn.index for turn in found[0]] == [2]


def test_noise_is_mixed_at_the_ratio_asked_for() -> None:
    chance = np.random.default_rng(1)
    speech = (chance.normal(0, 3000, 16000)).astype(np.int16)
    noise = (chance.normal(0, 500, 4000)).astype(np.int16)
    mixed = corpus.over_noise(corpus.Utterance("one", speech, speech), noise, 10.0, 0.5)
    behind = mixed.sent.astype(float) - mixed.clean
    assert len(mixed.clean) == len(mixed.sent) == 20000
    assert not mixed.clean[:4000].any()
    ratio = corpus.speech_rms(speech) / np.sqrt((behind**2).mean())
    assert 20 * np.log10(ratio) == pytest.approx(10, abs=0.3)


def test_a_level_is_that_of_the_speech() -> None:
    tone = (8000 * np.sin(np.arange(8000))).astype(np.int16)
    scaled = corpus.at_level(np.concatenate([np.zeros(8000, np.int16), tone]), -26.0)
    assert 20 * np.log10(corpus.speech_rms(scaled) / 32768) == pytest.approx(-26, abs=0.2)


def test_a_voice_is_heard_over_the_noise_of_the_two_seconds_before_it() -> None:
    """What is heard later, or long before, hides no word of now: the gateway cannot know it."""
    chance = np.random.default_rng(1)
    voice = np.zeros(8 * 8000, np.int16)
    voice[4 * 8000 : 5 * 8000] = 8000
    noise = chance.normal(0, 100, len(voice))
    noise[: 2 * 8000 - 400] *= 20
    noise[4 * 8000 :] *= 20
    assert corpus.heard_from(voice, noise.astype(np.int16)) == pytest.approx(10 * 80**2, rel=0.2)
    assert corpus.heard_from(np.zeros_like(voice), np.zeros_like(voice)) == LEAST
