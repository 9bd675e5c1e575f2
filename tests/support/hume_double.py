"""Hume's EVI on 127.0.0.1; every frame of both sides is judged by the types of `hume`."""

from __future__ import annotations

import io
import json
import wave
from http import HTTPStatus
from typing import Any, ClassVar

from hume.empathic_voice.chat.types import PublishEvent
from hume.empathic_voice.types import EmotionScores, SubscribeEvent
from pydantic import TypeAdapter
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderRejected, ProviderTimeout, QuotaExceeded
from tests.support.engine_double import KEY, Abilities, EngineDouble, Peer, unwrapped, wrapped
from tests.support.vendor_types import Frame, assert_one_of, assert_only_known

SENT: TypeAdapter[Any] = TypeAdapter(SubscribeEvent)
RECEIVED: TypeAdapter[Any] = TypeAdapter(PublishEvent)
GROUP = "9fc18597-3567-42d5-94d6-935bde84bf2f"


class HumePeer(Peer):
    GOES_ON_WITH_RESULTS = True
    TELLS_BY = "sentences"
    output_format = AudioFormat(48_000)
    part = "part-0"
    """The id of the assistant's message whose sound is sent."""
    _parts = 0

    async def welcome(self) -> None:
        chat = {"chat_id": "470a49f6", "chat_group_id": GROUP, "request_id": "73c75efd"}
        await self.send_event({"type": "chat_metadata", **chat})

    async def read(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self.refuse("binary, where the protocol has only text")
            return
        event = json.loads(frame)
        if event["type"] == "audio_input":
            assert_only_known(RECEIVED.validate_python(event))
            if not self.is_ready:
                self.refuse("PCM before its rate was said")
            self.heard += unwrapped(event["data"])
            return
        found = RECEIVED.validate_python(event)
        if found.type != event["type"]:
            self.refuse(f"unknown message {event['type']!r}")
        assert_only_known(found)
        await getattr(self, f"_{event['type']}")(event)

    async def _session_settings(self, event: Frame) -> None:
        if audio := event.get("audio"):
            assert_one_of(audio, {**audio, "encoding": "linear16", "channels": 1})
            self.input_format = AudioFormat(audio["sample_rate"])
        if "tools" in event:
            self.tools = [tool["name"] for tool in event["tools"]]
            for tool in event["tools"]:
                json.loads(tool["parameters"])
        if "system_prompt" in event:
            self.instructions = event["system_prompt"]
            for line in event["system_prompt"].splitlines():
                role, _, text = line.partition(": ")
                if role in {"Caller", "You"}:
                    self.history.append((role, text))
        if context := event.get("context"):
            assert_one_of(context["type"], "temporary", "persistent")
            self.told.append(("context", context["text"]))
        self.voice = event.get("voice_id", "")
        self.is_ready = True

    async def _assistant_input(self, event: Frame) -> None:
        if not self.greeting and not self.heard and not self.told:
            self.greeting = event["text"]
        self.told.append(("assistant", event["text"]))
        self.answers_asked += 1

    async def _user_input(self, event: Frame) -> None:
        self.told.append(("user", event["text"]))
        self.answers_asked += 1
        await self.send_event(_user(event["text"], from_text=True))

    async def _tool_response(self, event: Frame) -> None:
        self.results.append((event["tool_call_id"], event["content"]))

    async def _tool_error(self, event: Frame) -> None:
        self.results.append((event["tool_call_id"], event["error"]))

    async def _pause_assistant_message(self, _: Frame) -> None:
        self.told.append(("control", "pause"))

    async def _resume_assistant_message(self, _: Frame) -> None:
        self.told.append(("control", "resume"))

    async def caller_starts(self, at_ms: int) -> None:
        await self.send_event({"type": "user_interruption", "time": 1_700_000_000 + at_ms})

    async def caller_ends(self, at_ms: int) -> None:
        """The protocol reports it with the text only."""

    async def caller_says(self, text: str, *, is_final: bool) -> None:
        await self.send_event(_user(text, interim=not is_final))

    async def begin(self, reply_id: str) -> None:
        """The protocol has no event for it."""

    async def sound(self, reply_id: str, audio: bytes) -> None:
        await self.send_event(
            {"type": "audio_output", "id": self.part, "index": 0, "data": wrapped(wav(audio))}
        )

    async def words(self, reply_id: str, text: str) -> None:
        self._parts += 1
        self.part = f"part-{self._parts}"
        await self.send_event({
            "type": "assistant_message", "id": self.part, "from_text": False,
            "is_quick_response": False, "models": {},
            "message": {"role": "assistant", "content": text.strip()},
        })  # fmt: skip
        await self.send_event({"type": "assistant_prosody", "id": self.part, "models": {}})

    async def finish(self, reply_id: str, end: str = "complete") -> None:
        await self.send_event({"type": "assistant_end"})

    async def ask(self, reply_id: str, call_id: str, name: str, arguments: str) -> None:
        call = {"type": "tool_call", "name": name, "parameters": arguments}
        own = {"tool_call_id": f"{call_id}-own", "tool_type": "builtin", "response_required": False}
        await self.send_event({**call, **own})
        asked = {"tool_call_id": call_id, "tool_type": "function", "response_required": True}
        await self.send_event({**call, **asked})

    async def error(self, problem: str) -> None:
        code, slug = {
            "quota": ("E0300", "out_of_credits"),
            "model": ("E0101", "invalid_request"),
            "voice": ("E0101", "invalid_request"),
            "minor": ("W0101", "something_minor"),
        }.get(problem, ("I0118", "transcription_disconnected"))
        told = {"code": code, "slug": slug, "message": f"The {problem} is wrong (key {KEY})."}
        await self.send_event({"type": "error", **told})

    async def limit_close(self) -> None:
        told = {"code": "E0700", "slug": "max_duration_timeout", "message": "The chat is too long."}
        await self.send_event({"type": "error", **told})
        await self.connection.close(1000)

    async def unknown(self) -> None:
        await self.send(json.dumps({"type": "something_new", "id": 1}))

    async def garbage_audio(self, reply_id: str) -> None:
        await self.send_event({"type": "audio_output", "id": self.part, "index": 1, "data": "%%"})

    def checked(self, event: dict[str, Any]) -> None:
        found = SENT.validate_python(event)
        assert_one_of(found.type, event["type"])
        assert_only_known(found)


class HumeDouble(EngineDouble):
    PEER: ClassVar[type[Peer]] = HumePeer
    PATH: ClassVar[str] = "/v0"
    ABILITIES: ClassVar[Abilities] = Abilities(
        passes=(),
        has_marks=False,
        hears_of_cuts=False,
        hears_of_positions=False,
        takes_eagerness=False,
        has_usage=False,
        has_ends=False,
        errors={"quota": QuotaExceeded, "model": ProviderRejected},
        limit=ProviderTimeout,
    )

    def knows(self, request: Request) -> bool:
        is_right = request.path.startswith(("/v0/evi/chat", "/v0/evi/configs"))
        return is_right and request.headers.get("X-Hume-Api-Key") == KEY

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        refusal = await super()._judge(connection, request)
        if refusal is None and request.path.startswith("/v0/evi/configs"):
            return connection.respond(HTTPStatus.OK, json.dumps({"configs_page": []}))
        return refusal


def wav(pcm: bytes, rate_hz: int = 48_000) -> bytes:
    """Return a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate_hz)
        written.writeframes(pcm)
    return file.getvalue()


SCORES = {str(each.alias): 0.02 for each in EmotionScores.model_fields.values()} | {"Joy": 0.62}
MODELS = {"prosody": {"scores": SCORES}}
"""What it takes the caller's voice to express."""


def _user(text: str, *, interim: bool = False, from_text: bool = False) -> Frame:
    return {
        "type": "user_message", "from_text": from_text, "interim": interim, "models": MODELS,
        "message": {"role": "user", "content": text}, "time": {"begin": 300, "end": 1300},
    }  # fmt: skip
