"""Doubles of the vendors that speak OpenAI's realtime dialect in their own way.

What they deviate in is translated to OpenAI's form and then checked by OpenAI's types.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

from websockets.http11 import Request

from tests.support.engine_double import KEY
from tests.support.openai_double import OpenAiDouble, RealtimePeer

RATES = {8000, 16_000, 24_000, 32_000, 44_100, 48_000}


def at_24_khz(session: dict[str, Any]) -> None:
    """Replace the rates of linear audio that only these vendors have."""
    for way in session.get("audio", {}).values():
        if way.get("format", {}).get("rate") in RATES:
            way["format"]["rate"] = 24_000


class InworldPeer(RealtimePeer):
    PARTIAL_IS_WHOLE = True

    def as_openai(self, event: dict[str, Any]) -> dict[str, Any]:
        event = copy.deepcopy(event)
        session = event.get("session", {})
        at_24_khz(session)
        session.pop("providerData", None)
        session.pop("temperature", None)
        session.get("audio", {}).get("output", {}).pop("model", None)
        if event["type"] == "response.function_call_arguments.done":
            event["name"] = "left out"
        return event

    def arguments_done(self, which: dict[str, Any], name: str, arguments: str) -> dict[str, Any]:
        done = super().arguments_done(which, name, arguments)
        del done["name"]
        return done

    async def begin(self, reply_id: str) -> None:
        await self.send(json.dumps({"type": "ping", "timestamp": 1}))
        await super().begin(reply_id)


class InworldDouble(OpenAiDouble):
    PEER = InworldPeer
    PATH = "/api/v1/realtime"

    def knows(self, request: Request) -> bool:
        path, _, query = request.path.partition("?")
        if path != "/api/v1/realtime/session" or "protocol=realtime" not in query:
            self.problems.append(f"path {request.path}")
        return request.headers.get("Authorization") == f"Basic {KEY}"


class XaiPeer(RealtimePeer):
    FOREIGN = frozenset({"conversation.item.input_audio_transcription.updated", "ping"})

    def as_openai(self, event: dict[str, Any]) -> dict[str, Any]:
        event = copy.deepcopy(event)
        if event["type"] == "input_audio_buffer.speech_started":
            event["audio_start_ms"] = 0
        if event["type"] == "input_audio_buffer.speech_stopped":
            event["audio_end_ms"] = 0
        session = event.get("session")
        if session is None:
            return event
        at_24_khz(session)
        session["type"] = "realtime"
        audio = session.setdefault("audio", {})
        if "voice" in session:
            audio.setdefault("output", {})["voice"] = session.pop("voice")
        if "turn_detection" in session:
            audio.setdefault("input", {})["turn_detection"] = session.pop("turn_detection")
        words = audio.get("input", {}).get("transcription") or {}
        for own, theirs in (("language_hint", "language"), ("keyterms", "keywords")):
            if own in words:
                words[theirs] = words.pop(own)
        if session.get("reasoning") == {"effort": "none"}:
            del session["reasoning"]
        session.pop("replace", None)
        return event

    def shown(self) -> dict[str, Any]:
        return {name: value for name, value in super().shown().items() if name != "type"}

    def detection(self, session: dict[str, Any]) -> dict[str, Any] | None:
        found = session.get("turn_detection")
        return found if isinstance(found, dict) else None

    async def caller_starts(self, at_ms: int) -> None:
        self._turns += 1
        event = {**self.ids("input_audio_buffer.speech_started"), "item_id": self.turn_id()}
        await self.send_event(event)

    async def caller_says(self, text: str, *, is_final: bool) -> None:
        if is_final:
            await super().caller_says(text, is_final=True)
            return
        kind = "conversation.item.input_audio_transcription.updated"
        await self.send_event({**self.ids(kind), "item_id": self.turn_id(), "transcript": text})


class XaiDouble(OpenAiDouble):
    PEER = XaiPeer
    ABILITIES = replace(OpenAiDouble.ABILITIES, has_mark_positions=False)

    def knows(self, request: Request) -> bool:
        if not request.path.startswith("/v1/realtime?model=grok"):
            self.problems.append(f"path {request.path}")
        return super().knows(request)
