"""Realtime sessions as a client on loopback sees them, beside telephone calls to the same agent.

The response gap is from the last loud sample sent to the first loud one received; the client sends
20 ms at real time and plays what comes at once.  The jitter buffer's share is in the calls only.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import websockets
from websockets.asyncio.client import ClientConnection

from benchmarks._gateway import FRONT_DESK, Gateway, running_gateway
from benchmarks._report import Row, percentiles, progress, publish, spread
from benchmarks.response import SENTENCES, talk
from gateway.audio.g711 import decode_ulaw, encode_ulaw
from gateway.probe.voices import render
from gateway.telemetry.process import read_usage

_PIECE_S, _PIECE = 0.02, 160
_LOUD = 300
_AFTER_S = 8.0
"""Silence that is sent after a sentence, until its answer is over at most."""
_SESSIONS = 40
_IDLE_S = 20.0
REALTIME = """
[realtime]
enabled = true
workers = {workers}
sessions_per_worker = 60
new_sessions_per_minute = 1000
"""
LLM = """
greeting = "Hello."
llm.provider = "openai"
llm.model = "double"
llm.api_key = "x"
llm.base_url = "http://127.0.0.1:{port}/v1"
"""


@dataclass(slots=True)
class Client:
    """One session: what came when."""

    socket: ClientConnection
    sent_s: float = 0.0
    """When the latest loud piece was sent."""
    first_loud_s: float = 0.0
    heard_s: float | None = None
    """First loud sample of the latest answer."""
    started_s: float | None = None
    last_delta_s: float = 0.0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    errors: list[str] = field(default_factory=list)

    async def read(self) -> None:
        """Take events until the end."""
        loop = asyncio.get_running_loop()
        async for frame in self.socket:
            now_s = loop.time()
            event = json.loads(frame)
            match event["type"]:
                case "response.output_audio.delta":
                    self.last_delta_s = now_s
                    self._hear(event["delta"], now_s)
                case "input_audio_buffer.speech_started":
                    self.started_s = now_s
                case "response.done":
                    self.done.set()
                case "error":
                    self.errors.append(event["error"]["message"])

    def _hear(self, delta: str, now_s: float) -> None:
        if self.heard_s is None:
            samples = np.frombuffer(decode_ulaw(base64.b64decode(delta)), "<i2")
            loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _LOUD)
            if len(loud):
                self.heard_s = now_s + float(loud[0]) / 8000

    async def send(self, kind: str, **fields: object) -> None:
        """Send an event."""
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def say(self, audio: bytes, until_s: float = _AFTER_S, *, waits: bool = True) -> None:
        """Say a sentence at real time; then silence until the answer is over."""
        loop = asyncio.get_running_loop()
        self.heard_s = self.started_s = None
        self.done.clear()
        begun_s = loop.time()
        self.first_loud_s = begun_s
        silence = bytes([0xFF]) * _PIECE
        pieces = [audio[at : at + _PIECE] for at in range(0, len(audio), _PIECE)]
        count = len(pieces) + round(until_s / _PIECE_S)
        for number in range(count):
            piece = pieces[number] if number < len(pieces) else silence
            await self.send("input_audio_buffer.append", audio=base64.b64encode(piece).decode())
            if number == len(pieces) - 1:
                # The piece is of the past: its last sample was spoken when it is sent.
                self.sent_s = loop.time()
            if number >= len(pieces) and waits and self.done.is_set():
                return
            await asyncio.sleep(max(0.0, begun_s + (number + 1) * _PIECE_S - loop.time()))


@asynccontextmanager
async def session(gateway: Gateway) -> AsyncIterator[Client]:
    url = f"ws://127.0.0.1:{gateway.http_port}/v1/realtime"
    async with websockets.connect(url, compression=None) as connection:
        client = Client(connection)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(client.read())
            mulaw = {"format": {"type": "audio/pcmu"}}
            audio = {"input": mulaw, "output": mulaw}
            await client.send("session.update", session={"type": "realtime", "audio": audio})
            yield client
            reading.cancel()


async def run(*, quick: bool) -> None:
    sentences = SENTENCES[:5] if quick else SENTENCES
    lines = {text: encode_ulaw((await render(text)).tobytes()) for text in sentences}
    async with running_gateway(REALTIME.format(workers=1) + FRONT_DESK) as gateway:
        answers, _ = await talk(gateway, sentences, "awb")
        calls = [answer.gap_ms for answer in answers]
        buffer_ms = float(np.mean([answer.buffer_ms for answer in answers])) if answers else 0.0
        progress("telephone call done")
        gaps, starts = await _gaps(gateway, list(lines.values()))
        progress("session done")
        cuts = await _cuts(gateway, lines, 6 if quick else 20)
        idle = await _idle(gateway)
    many = await _many(list(lines.values()), 10 if quick else _SESSIONS)
    _publish(calls, buffer_ms, gaps, starts, cuts, idle, many)


async def _gaps(gateway: Gateway, lines: list[bytes]) -> tuple[list[float], list[float]]:
    gaps, starts = [], []
    async with session(gateway) as client:
        await client.send("response.create")
        await asyncio.wait_for(client.done.wait(), 20)
        for audio in lines:
            await client.say(audio)
            if client.heard_s is not None:
                gaps.append((client.heard_s - client.sent_s) * 1000)
            if client.started_s is not None:
                starts.append((client.started_s - client.first_loud_s) * 1000)
            await asyncio.sleep(0.3)
    return gaps, starts


async def _cuts(
    gateway: Gateway, lines: dict[str, bytes], count: int
) -> tuple[list[float], list[float]]:
    """Interrupt; return how long until it is told, and until the last audio after that."""
    question = lines.get("What drinks do you have?") or next(iter(lines.values()))
    words = encode_ulaw((await render("Stop please, I have another question.")).tobytes())
    told, last = [], []
    for _ in range(count):
        async with session(gateway) as client:
            await client.say(question, 1.6, waits=False)  # the answer is long
            await client.say(words, 1.0, waits=False)
            if client.started_s is None:
                continue
            told.append((client.started_s - client.first_loud_s) * 1000)
            last.append(max(0.0, client.last_delta_s - client.started_s) * 1000)
    return told, last


async def _idle(gateway: Gateway) -> tuple[float, float]:
    """Return processor (percent of a core) and memory (MB) of one idle session."""
    pid = _worker(gateway)
    await asyncio.sleep(3.0)
    before = read_usage(pid)
    await asyncio.sleep(_IDLE_S / 2)
    alone = read_usage(pid)
    sessions = [session(gateway) for _ in range(_SESSIONS)]
    for each in sessions:
        await each.__aenter__()
    await asyncio.sleep(4.0)
    begun = read_usage(pid)
    await asyncio.sleep(_IDLE_S)
    ended = read_usage(pid)
    for each in sessions:
        await each.__aexit__(None, None, None)
    base = (alone.cpu_s - before.cpu_s) / (_IDLE_S / 2)
    share = ((ended.cpu_s - begun.cpu_s) / _IDLE_S - base) / _SESSIONS * 100
    return share, (ended.rss_bytes - before.rss_bytes) / _SESSIONS / 1e6


def _worker(gateway: Gateway) -> int:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            parent = re.search(r"\nPPid:\s(\d+)", (path.parent / "status").read_text())
        except OSError:
            continue
        if b"realtime-worker" in words and parent and int(parent[1]) == gateway.supervisor:
            return int(path.parent.name)
    raise RuntimeError("there is no worker of sessions")


async def _many(lines: list[bytes], count: int) -> dict[str, Any]:
    """Sessions at once with a model of 300 ms to the first token, on two workers."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    double = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.load.llm_double", "--port", str(port)),
        *("--first-token-ms", "300", "--token-ms", "30"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    agents = "[agents.front-desk]" + LLM.format(port=port)
    gaps: list[float] = []
    failed = 0

    async def one(gateway: Gateway, number: int, turns: int) -> None:
        nonlocal failed
        await asyncio.sleep(number * 0.25)
        try:
            async with session(gateway) as client:
                for turn in range(turns):
                    await client.say(lines[(number + turn) % len(lines)], 12.0)
                    if client.heard_s is None:
                        failed += 1
                    else:
                        gaps.append((client.heard_s - client.sent_s) * 1000)
                    await asyncio.sleep(2.0)
                failed += len(client.errors)
        except* (OSError, TimeoutError, websockets.WebSocketException) as errors:
            progress(f"session {number}: {errors.exceptions[0]!r}")
            failed += 1

    alone: list[float] = []
    try:
        async with running_gateway(REALTIME.format(workers=2) + agents) as gateway:
            await one(gateway, 0, 6)
            alone, gaps = gaps, []
            async with asyncio.TaskGroup() as group:
                for number in range(count):
                    group.create_task(one(gateway, number, 3))
    finally:
        double.terminate()
        await double.wait()
    return {"sessions": count, "failed": failed, "alone_ms": alone, "gaps_ms": gaps}


def _publish(
    calls: list[float],
    buffer_ms: float,
    gaps: list[float],
    starts: list[float],
    cuts: tuple[list[float], list[float]],
    idle: tuple[float, float],
    many: dict[str, Any],
) -> None:
    told, last = cuts
    rows: list[Row] = [
        ("response gap, telephone call", spread(calls, 50, 90, 95)),
        ("of it jitter buffer, mean", f"{buffer_ms:.0f} ms"),
        ("response gap, session", spread(gaps, 50, 90, 95)),
        ("first loud sample -> speech_started, bot silent", spread(starts, 50, 95)),
        ("the same, bot speaking", spread(told, 50, 95)),
        ("speech_started -> last audio of the cut answer", spread(last, 50, 95)),
        ("one idle session", f"{idle[0]:.2f} % of a core, {idle[1]:.2f} MB"),
        ("response gap, model of 300 ms, one session", spread(many["alone_ms"], 50, 90)),
        (f"the same, {many['sessions']} sessions at once", spread(many["gaps_ms"], 50, 90, 99)),
        ("answers or sessions that failed", str(many["failed"])),
    ]
    figures = {
        "call_gap_ms": percentiles(calls, 50, 90, 95), "jitter_buffer_ms": round(buffer_ms, 1),
        "session_gap_ms": percentiles(gaps, 50, 90, 95),
        "speech_started_ms": percentiles(starts, 50, 95),
        "speech_started_over_bot_ms": percentiles(told, 50, 95),
        "last_delta_ms": percentiles(last, 50, 95),
        "idle_cpu_percent": round(idle[0], 3), "idle_mb": round(idle[1], 2),
        "model_gap_ms": percentiles(many["alone_ms"], 50, 90),
        "many": {"sessions": many["sessions"], "failed": many["failed"],
                 "gap_ms": percentiles(many["gaps_ms"], 50, 90, 99)},
    }  # fmt: skip
    publish("realtime", "Realtime sessions", rows, figures)
