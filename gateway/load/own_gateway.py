"""A gateway of the load test's own, with all that it needs beside it."""

from __future__ import annotations

import json
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gateway.load.speech import LINES
from gateway.probe.rtp import SAMPLE_RATE_HZ
from gateway.probe.voices import render
from gateway.process.local import free_port, free_udp_ports, python_process, until_ready

Engine = Literal["llm", "s2s", "play"]
"""llm: recognition, LLM double, speech, as people use it.  s2s: a speech-to-speech engine (double).
play: no engine at all, the dialplan plays a recording; what the caller sends is received and
recorded."""
CALLS_PER_WORKER = 4
_RTP_PORTS_PER_WORKER = 20
FIRST_TOKEN_MS, TOKEN_MS = 300, 30
SILENCE_MS, FIRST_AUDIO_MS = 300, 300
_GREETING = "Thank you for calling the corner cafe. How can I help you today?"


@dataclass(frozen=True, slots=True)
class OwnGateway:
    """A gateway that is ready for calls."""

    sip_port: int
    http_port: int
    pid: int
    """Of the supervisor."""
    double_pid: int | None
    """Of the double of an engine: it counts as load."""


@asynccontextmanager
async def own_gateway(
    folder: Path,
    scenarios: Path,
    engine: Engine,
    workers: int,
    tick: Callable[[float], None],
    drain_limit_s: float = 0.0,
) -> AsyncIterator[OwnGateway]:
    """Run `gateway run`, and the double of its engine, while the context lasts.

    Args:
        folder: for configuration, logs and call records; exists.
        scenarios: `sipp-scenarios/`, whose dialplan some scenarios need.
        engine: of the bot.
        workers: number of workers of four calls each; more than one needs the edge.
        tick: called with the seconds since the start.
        drain_limit_s: how long calls may go on in a worker that is to end.

    Raises:
        StartError: it did not start.
        ProviderUnavailable: libflite is not installed.
    """
    http_port = free_port()
    sip_port, rtp_ports = _ports(workers)
    config, log = folder / "gateway.toml", folder / "gateway.log"
    common = _common(sip_port, http_port, rtp_ports, workers, drain_limit_s)
    if engine == "play":
        plan = await _play_plan(folder)
        config.write_text(common + _dialplan(plan) + "[agents.idle]\n", encoding="utf-8")
        async with python_process(log, "-m", "gateway", "run", "--config", str(config)) as process:
            await until_ready(process, http_port, log, tick)
            yield OwnGateway(sip_port, http_port, process.pid, None)
        return
    port = free_port()
    agent = _agent(port) if engine == "llm" else _speech_agent(port)
    config.write_text(common + _dialplan(scenarios / "dialplan") + agent, encoding="utf-8")
    async with (
        python_process(folder / "double.log", *_double(engine, port)) as double,
        python_process(log, "-m", "gateway", "run", "--config", str(config)) as process,
    ):
        await until_ready(process, http_port, log, tick)
        yield OwnGateway(sip_port, http_port, process.pid, double.pid)


def _double(engine: Engine, port: int) -> tuple[str, ...]:
    if engine == "s2s":
        times = ("--silence-ms", str(SILENCE_MS), "--first-audio-ms", str(FIRST_AUDIO_MS))
        return ("-m", "gateway.load.engine_double", "--port", str(port), *times)
    times = ("--first-token-ms", str(FIRST_TOKEN_MS), "--token-ms", str(TOKEN_MS))
    return ("-m", "gateway.load.llm_double", "--port", str(port), *times)


def _ports(workers: int) -> tuple[int, tuple[int, int]]:
    """Find a SIP port with room for the workers behind it, and their RTP ports."""
    workers_and_spares = 2 * workers  # a worker that is being replaced keeps its own for a while
    while True:
        sip_first, sip_last = free_udp_ports(workers_and_spares + 1)
        rtp = free_udp_ports(_RTP_PORTS_PER_WORKER * workers_and_spares)
        if sip_last < rtp[0] or sip_first > rtp[1]:
            return sip_first, rtp


def _common(
    sip_port: int, http_port: int, rtp_ports: tuple[int, int], workers: int, drain_limit_s: float
) -> str:
    first, last = rtp_ports
    several = f'count = {workers}\nedge = "kamailio"\n' if workers > 1 else ""
    return f"""\
[sip]
port = {sip_port}
rtp_ports = [{first}, {last}]
[http]
port = {http_port}
[records]
directory = "calls"
[log]
level = "warning"
format = "json"
[outgoing]
allow = ["sip:operator@127.0.0.1:5099"]
[workers]
drain_limit_s = {drain_limit_s}
{several}"""


def _agent(llm_port: int) -> str:
    base_url = f"http://127.0.0.1:{llm_port}/v1"
    return f"""\
[agents.load]
greeting = {json.dumps(_GREETING)}
instructions = "You take orders for a cafe. Answer in one or two sentences."
llm = {{ provider = "openai", model = "double", base_url = "{base_url}" }}
# The double never says the same twice: a large cache would only look like a leak while it fills.
tts = {{ provider = "flite", cache_bytes = 1_000_000 }}
"""


def _speech_agent(port: int) -> str:
    return f"""\
[agents.load]
greeting = {json.dumps(_GREETING)}
instructions = "You take orders for a cafe. Answer in one or two sentences."
tts = {{ provider = "flite" }}
[agents.load.s2s]
provider = "openai_realtime"
base_url = "ws://127.0.0.1:{port}"
api_key = "none"
greeting = "voice"
"""


def _dialplan(folder: Path) -> str:
    return f"[dialplan]\ndirectory = {json.dumps(str(folder.absolute()))}\n"


async def _play_plan(folder: Path) -> Path:
    """Write a dialplan that answers every call with half a minute of speech, again and again."""
    plan = folder / "dialplan"
    plan.mkdir()
    pieces = [await render(line, "rms") for line in LINES]
    with wave.open(str(plan / "speech.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(np.concatenate(pieces).astype("<i2").tobytes())
    (plan / "play.toml").write_text(
        '[[contexts.default.extensions]]\nname = "play"\n'
        'steps = [{ say = { file = "speech.wav" } }, { goto = "play" }]\n'
    )
    return plan
