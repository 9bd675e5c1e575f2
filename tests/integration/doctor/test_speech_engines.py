"""`gateway doctor` asks speech-to-speech engines as a call would: sessions, codecs, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.support.deepgram_double import DeepgramDouble
from tests.support.dialect_doubles import InworldDouble, XaiDouble
from tests.support.doctor import doctor, found
from tests.support.elevenlabs_double import ElevenLabsDouble
from tests.support.engine_double import KEY, EngineDouble, EngineFault
from tests.support.gateway_process import free_port, to_toml
from tests.support.gemini_double import GeminiDouble
from tests.support.hume_double import HumeDouble
from tests.support.live_double import LiveDouble
from tests.support.moshi_double import MoshiDouble
from tests.support.openai_double import OpenAiDouble
from tests.support.refusing_doubles import BusyAccount, EmptyAccount

NO_TOOLS = {"tools": [], "builtin_tools": []}
GEMINI = {"model": "gemini-3.1-flash-live-preview"}
UNTOUCHED = "gets PCMU untouched and sends PCMU untouched"
WORKING: Mapping[str, tuple[type[EngineDouble], Mapping[str, Any], str]] = {
    "openai_realtime": (OpenAiDouble, {}, f"{UNTOUCHED}; the engine ends turns"),
    "inworld_realtime": (InworldDouble, {}, UNTOUCHED),
    "xai_realtime": (XaiDouble, {"turn_detection": "none"}, f"{UNTOUCHED}; the gateway ends turns"),
    "openai_live": (LiveDouble, {}, f"{UNTOUCHED}; full duplex"),
    "gemini_live": (GeminiDouble, GEMINI, "gets linear audio of 16 kHz, converted"),
    "moshi": (MoshiDouble, {}, "sends linear audio of 24 kHz, converted"),
    "deepgram_agent": (DeepgramDouble, {}, UNTOUCHED),
    "elevenlabs_agent": (ElevenLabsDouble, {}, UNTOUCHED),
    "hume_evi": (HumeDouble, {}, "sends linear audio of 48 kHz, converted"),
}


REFUSING: Mapping[str, tuple[type[OpenAiDouble], EngineFault, str, str]] = {
    "key": (OpenAiDouble, EngineFault.REFUSED, "HTTP 401", "check api_key"),
    "down": (OpenAiDouble, EngineFault.DOWN, "HTTP 503", "status page"),
    "silent": (OpenAiDouble, EngineFault.SLOW, "within 0.5 s", "busy"),
    "model": (OpenAiDouble, EngineFault.ERROR_FIRST, "model_not_found", "check model"),
    "garbage": (OpenAiDouble, EngineFault.GARBAGE_FIRST, "was expected", "of this engine"),
    "empty": (EmptyAccount, EngineFault.NONE, "insufficient_quota", "has nothing left"),
    "busy": (BusyAccount, EngineFault.NONE, "rate_limit_exceeded", "too many sessions"),
}


def agent(provider: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    s2s = {"provider": provider, **settings, "on_failure": "apologize"}
    return {"greeting": "Good day.", "s2s": s2s, **(NO_TOOLS if provider == "moshi" else {})}


async def asked(folder: Path) -> tuple[int, list[dict[str, str]], str]:
    doubles: list[EngineDouble] = []
    async with AsyncExitStack() as stack:
        agents = {}
        for name, (double_type, settings, _) in WORKING.items():
            double = await stack.enter_async_context(double_type().running())
            agents[name] = agent(name, {**double.settings(), **settings})
            doubles.append(double)
        for name, (refusing_type, fault, _, _) in REFUSING.items():
            double = await stack.enter_async_context(refusing_type().running())
            double.fault = fault
            settings = {**double.settings(), "connect_timeout_s": 0.5}
            agents[f"no-{name}"] = agent("openai_realtime", settings)
            doubles.append(double)
        nowhere = {"base_url": f"ws://127.0.0.1:{free_port()}/v1", "api_key": KEY}
        agents["no-server"] = agent("openai_realtime", nowhere)
        (folder / "gateway.toml").write_text(to_toml({"agents": agents}))
        told = await doctor(folder, "--no-call")
        for double in doubles:
            await double.all_gone()
    assert [problem for double in doubles for problem in double.problems] == []
    return told


def test_each_engine_is_asked_and_each_refusal_is_named(tmp_path: Path) -> None:
    code, findings, printed = asyncio.run(asked(tmp_path))
    what = "speech-to-speech engine"
    for name, (_, _, words) in WORKING.items():
        where = f"{what} {name} of {name}"
        assert found(findings, where, "ok", words) or found(findings, where, "warn", words), printed
        assert found(findings, f"s2s {name}", "ok", "installed"), printed
    for name, (_, _, cause, fix) in REFUSING.items():
        where = f"{what} openai_realtime of no-{name}"
        (finding,) = (each for each in findings if each["name"] == where)
        assert finding["level"] == "fail"
        assert cause in finding["cause"]
        assert fix in finding["fix"]
    assert found(findings, f"{what} openai_realtime of no-server", "fail", "no connection")
    assert code == 1
    assert KEY not in printed
