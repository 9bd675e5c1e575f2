"""The stand-in for a speech-to-speech engine speaks OpenAI's dialect and answers by itself."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
from openai.types.realtime import RealtimeServerEvent
from websockets.asyncio.server import ServerConnection, serve

from gateway.audio.format import AudioFormat
from gateway.load.engine_double import Answer, Conversation, Times
from gateway.probe.g711 import encode
from gateway.providers.s2s import openai_realtime
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    Opening,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SpeechEvent,
    SpeechSession,
)
from tests.support.openai_double import fault_of

MULAW = AudioFormat(8000, encoding="pcmu")
LOUD = encode(np.full(160, 8000, np.int16), "PCMU")
SILENT = encode(np.zeros(160, np.int16), "PCMU")
ANSWERS = [Answer("Yes.", 2000 * b"\x80"), Answer("No, we are closed.", 24000 * b"\x81")]


class Listening(Conversation):
    """Notes what it sends."""

    sent: list[dict[str, Any]]

    async def _send(self, kind: str, **fields: object) -> None:
        self.sent.append({"type": kind, "event_id": "e", **fields})
        await super()._send(kind, **fields)


async def until(session: SpeechSession, kind: type[SpeechEvent]) -> list[SpeechEvent]:
    found = []
    async with asyncio.timeout(20):
        async for event in session:
            found.append(event)
            if isinstance(event, kind):
                return found
    raise AssertionError(f"no {kind.__name__}: {found}")


def test_it_answers_is_interrupted_and_answers_again() -> None:
    sent: list[dict[str, Any]] = []

    async def serve_one(connection: ServerConnection) -> None:
        async with asyncio.TaskGroup() as group:
            listening = Listening(connection, ANSWERS, Times(100.0, 10.0), group)
            listening.sent = sent
            await listening.run()

    async def scenario() -> None:
        async with serve(serve_one, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            settings = {"base_url": f"ws://127.0.0.1:{port}", "api_key": "none"}
            engine = openai_realtime.create(openai_realtime.Settings.model_validate(settings))
            async with engine.connect(Opening("call-1", "Be brief.", line=MULAW)) as session:
                await converse(session)

    async def converse(session: SpeechSession) -> None:
        for frame in [*5 * [LOUD], *5 * [SILENT]]:
            session.push(frame)
        events = await until(session, ReplyEnded)
        kinds = [type(event) for event in events]
        assert kinds[:5] == [CallerStarted, CallerEnded, CallerText, ReplyStarted, ReplyText]
        assert events[0] == CallerStarted(0)
        audio = b"".join(event.audio for event in events if isinstance(event, ReplyAudio))
        assert audio == ANSWERS[0].audio
        for frame in [*5 * [LOUD], *5 * [SILENT]]:
            session.push(frame)
        begun = (await until(session, ReplyAudio))[-1]
        assert isinstance(begun, ReplyAudio)
        for frame in 4 * [LOUD]:
            session.push(frame)
        events = await until(session, ReplyEnded)
        assert isinstance(events[-1], ReplyEnded)
        assert events[-1].end == "interrupted"
        assert any(isinstance(event, CallerStarted) for event in events)
        session.cut(begun.reply_id, 100)
        for frame in 5 * [SILENT]:
            session.push(frame)
        await until(session, ReplyStarted)

    asyncio.run(scenario())
    faults = [fault for event in sent if (fault := fault_of(RealtimeServerEvent, event))]
    assert not faults, "\n".join(faults)
    truncated = [event for event in sent if event["type"] == "conversation.item.truncated"]
    assert [event["audio_end_ms"] for event in truncated] == [100], json.dumps(truncated)
