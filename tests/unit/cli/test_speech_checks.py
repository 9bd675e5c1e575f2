"""`gateway check` of agents with a speech-to-speech engine: what is refused, what is warned of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.__main__ import main
from gateway.providers import registry

OPENAI = {"provider": "openai_realtime", "api_key": "k"}
GEMINI = {"provider": "gemini_live", "api_key": "k", "model": "m"}
DEEPGRAM = {"provider": "deepgram_agent", "api_key": "k"}
ELEVENLABS = {"provider": "elevenlabs_agent", "agent_id": "a"}
HUME = {"provider": "hume_evi", "api_key": "k"}
MOSHI = {"provider": "moshi"}
EMPTY, KEY = 'api_key = ""', 'api_key = "k"'
LLM = 'llm = { provider = "openai", model = "m", base_url = "http://127.0.0.1:9/v1" }\n'
NO_TOOLS = "tools = []\nbuiltin_tools = []\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checked(
    capsys: pytest.CaptureFixture[str], s2s: dict[str, Any], more: str = LLM
) -> tuple[int, list[str]]:
    """Check one agent; its s2s table is line 3.  Returns exit code and lines of stderr."""
    table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in s2s.items())
    text = f'[agents.a]\ngreeting = "Hello."\ns2s = {{ {table} }}\n{more}'
    Path("gateway.toml").write_text(text)
    code = main(["check"])
    return code, capsys.readouterr().err.splitlines()


REFUSED = [
    (OPENAI | {"api_key": ""}, LLM, "api_key: is empty, and wss://api.openai.com/v1 asks for one"),
    ({"provider": "openai_live"}, LLM, "api_key: is empty"),
    ({"provider": "inworld_realtime"}, LLM, "api_key: is empty"),
    ({"provider": "xai_realtime"}, LLM, "api_key: is empty"),
    (GEMINI | {"api_key": ""}, LLM, "api_key: is empty"),
    (DEEPGRAM | {"api_key": ""}, LLM, "api_key: is empty"),
    (HUME | {"api_key": ""}, LLM, "api_key: is empty"),
    ({"provider": "gemini_live", "model": "m"}, LLM, "api_key: required key is missing"),
    (OPENAI | {"base_url": "ws://8.8.8.8/v1"}, LLM, "base_url: ws:// to 8.8.8.8 would send keys"),
    (MOSHI | {"base_url": "ws://[2606:4700::1]:8998"}, LLM + NO_TOOLS, "base_url: ws:// to 2606"),
    (OPENAI | {"on_failur": "cascade"}, LLM, 'on_failur: unknown key (did you mean "on_failure"?)'),
    (OPENAI | {"vioce": "marin"}, LLM, 'vioce: unknown key (did you mean "voice"?)'),
    (OPENAI | {"greeting": "us"}, LLM, 'greeting: must be "engine" or "voice"'),
    ({"provider": "openai_realtme"}, LLM, 'provider: no such provider (did you mean "openai_real'),
    (MOSHI, LLM, "provider: cannot call functions: set tools = [] and builtin_tools = []"),
    (MOSHI | {"greeting": "engine"}, LLM + NO_TOOLS, "greeting: moshi cannot say given words"),
    *((engine | {"warm_sessions": 1}, LLM + NO_TOOLS, "warm_sessions: must be 0: with ")
      for engine in (GEMINI, DEEPGRAM, ELEVENLABS, HUME, MOSHI)),
    (ELEVENLABS | {"greeting": "engine", "overrides": ["language"]}, LLM,
     "greeting: elevenlabs_agent cannot say given words"),
]  # fmt: skip


@pytest.mark.parametrize(("s2s", "more", "words"), REFUSED)
def test_what_cannot_work_is_refused(
    capsys: pytest.CaptureFixture[str], s2s: dict[str, Any], more: str, words: str
) -> None:
    code, lines = checked(capsys, s2s, more)
    assert code == 78
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"gateway.toml:3: agents.a.s2s.{words}")


def test_a_language_that_the_engine_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    german = LLM + NO_TOOLS + 'language = "de"\ntts = { provider = "espeak", voice = "de" }\n'
    quiet = {"on_failure": "apologize"}
    code, lines = checked(capsys, MOSHI | quiet, german)
    assert code == 78
    (line,) = lines
    assert line.startswith(
        'gateway.toml:7: agents.a.language: "de" is not supported by s2s = "moshi"'
    )
    assert checked(capsys, MOSHI | quiet | {"language": "de"}, german) == (0, [])
    code, lines = checked(capsys, GEMINI | quiet | {"language_code": "fr-FR"}, german)
    assert code == 78
    assert "(supported: fr)" in lines[0]


def test_a_stand_in_that_cannot_work(capsys: pytest.CaptureFixture[str]) -> None:
    german = LLM + 'language = "de"\ntts = { provider = "espeak", voice = "de" }\n'
    code, lines = checked(capsys, OPENAI, german)
    assert code == 78
    (line,) = lines
    assert '"de" is not supported by stt = "moonshine"' in line
    assert line.endswith('or do without a stand-in: on_failure = "apologize" in s2s')
    assert checked(capsys, OPENAI | {"on_failure": "apologize"}, german) == (0, [])


WARNED = [
    (OPENAI | {"warm_sessions": 2}, LLM, []),
    (OPENAI | {"base_url": "ws://voice.example.com/v1"}, LLM,
     ["s2s.base_url: ws:// to voice.example.com is refused in a call unless"]),
    (OPENAI | {"base_url": "ws://voice.lan/v1"}, LLM, []),
    (OPENAI | {"base_url": "ws://proxy:8000/v1"}, LLM, []),
    (OPENAI | {"voice": "marine"}, LLM,
     ['s2s.voice: "marine" is not among the documented voices (did you mean "marin"?)']),
    (GEMINI | {"voice": "puck"}, LLM, ['s2s.voice: "puck" is not among the documented voices ']),
    (DEEPGRAM | {"voice": "Thalia"}, LLM, ['s2s.voice: "Thalia" does not look like a voice']),
    (ELEVENLABS | {"voice": "x"}, LLM, ['s2s.voice: has no effect without "voice" in overrides']),
    (OPENAI | {"eagerness": "low"}, LLM,
     ['s2s.eagerness: has no effect with turn_detection = "server_vad"']),
    (OPENAI | {"turn_detection": "semantic_vad", "silence_duration_ms": 300}, LLM,
     ['s2s.silence_duration_ms: has no effect with turn_detection = "semantic_vad"']),
    (OPENAI | {"turn_detection": "none", "vad_threshold": 0.5}, LLM,
     ['s2s.vad_threshold: has no effect with turn_detection = "none"']),
    (GEMINI | {"turns": "gateway", "silence_ms": 300}, LLM,
     ['s2s.silence_ms: has no effect with turns = "gateway"']),
    (OPENAI, LLM + "turn = { doubtful_ms = 300, whole_ms = 300 }\n",
     ["turn.whole_ms: has no effect, because", "turn.doubtful_ms: has no effect, because the en"]),
    (OPENAI | {"turn_detection": "none"}, LLM + "turn = { doubtful_ms = 300 }\n", []),
    (MOSHI, LLM + NO_TOOLS + "turn = { barge_in = { interruptible = false } }\n",
     ["turn.barge_in.interruptible: has no effect, because both sides speak at once"]),
    (OPENAI, "", ["llm: is not set: the example of a front desk would stand in"]),
    (OPENAI | {"on_failure": "apologize"}, "", []),
    (OPENAI, 'llm = { provider = "openai", model = "m" }\n',
     ["llm.api_key: is empty, and https://api.openai.com/v1 asks for one"]),
]  # fmt: skip


@pytest.mark.parametrize(("s2s", "more", "warnings"), WARNED)
def test_what_may_not_be_meant_is_warned_of(
    capsys: pytest.CaptureFixture[str], s2s: dict[str, Any], more: str, warnings: list[str]
) -> None:
    code, lines = checked(capsys, s2s, more)
    assert code == 0, lines
    assert len(lines) == len(warnings), lines
    for line, words in zip(sorted(lines), sorted(warnings), strict=True):
        assert line.startswith("warning: gateway.toml:")
        assert f"agents.a.{words}" in line


def test_the_nine_are_listed_with_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moshi = registry.load("s2s", "moshi")
    monkeypatch.setattr(moshi, "probe", lambda: "package sphn is missing (Ogg-Opus): pip install x")
    assert main(["providers"]) == 0
    lines = capsys.readouterr().out.partition("s2s (speech to speech)\n")[2].splitlines()[:9]
    states = dict(line.split()[:2] for line in lines)
    assert states == {
        "deepgram_agent": "ready", "elevenlabs_agent": "ready", "gemini_live": "ready",
        "hume_evi": "ready", "inworld_realtime": "ready", "moshi": "missing",
        "openai_live": "ready", "openai_realtime": "ready", "xai_realtime": "ready",
    }  # fmt: skip
    assert "package sphn is missing" in lines[5]


@pytest.mark.parametrize("by", ["recognizer", "both"])
def test_turns_by_a_recognizer_that_detects_none(capsys: pytest.CaptureFixture[str], by: str):
    Path("gateway.toml").write_text(f'[agents.a]\ngreeting = "Hello."\nturn = {{ by = "{by}" }}\n')
    assert main(["check"]) != 0
    found = capsys.readouterr().err
    assert "gateway.toml:3: agents.a.turn.by: " in found
    assert f'"{by}" needs a recognizer that detects turns, and stt = "moonshine" does not' in found
    assert 'write by = "gateway"' in found


def test_a_recognizer_behind_a_network(capsys: pytest.CaptureFixture[str]):
    stt = '{ provider = "deepgram", api_key = "", eot_threshold = 0.7, endpointing_ms = 300 }'
    Path("gateway.toml").write_text(f'[agents.a]\nturn = {{ by = "both" }}\nstt = {stt}\n')
    assert main(["check"]) != 0
    found = capsys.readouterr().err
    assert "agents.a.stt.api_key: is empty, and wss://api.deepgram.com asks for one" in found
    Path("gateway.toml").write_text(
        f'[agents.a]\nturn = {{ by = "both" }}\nstt = {stt.replace(EMPTY, KEY)}\n'
    )
    assert main(["check"]) == 0
    assert "endpointing_ms: has no effect with Flux" in capsys.readouterr().err
