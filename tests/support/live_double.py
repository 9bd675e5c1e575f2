"""A double of OpenAI Live; both directions are checked by the types of OpenAI's own SDK."""

from __future__ import annotations

import json
import time
from typing import Any

from openai.types.live import ClientEvent, ServerEvent
from websockets.http11 import Request

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderRejected, QuotaExceeded
from tests.support.engine_double import (
    Abilities,
    EngineDouble,
    Peer,
    coded,
    unwrapped,
    wrapped,
)
from tests.support.openai_double import ERRORS, fault_of


class LivePeer(Peer):
    def __init__(self, double: EngineDouble, connection: Any) -> None:
        super().__init__(double, connection)
        self.session: dict[str, Any] = {}
        self.appended: list[dict[str, Any]] = []
        self.is_muted = False
        self._events = 0
        self._position_ms = 0.0
        self._caller_ms = 0
        self._caller = ""
        self._seconds = 0.0

    # --- the client ------------------------------------------------------------------------------

    async def read(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self.refuse(f"binary frame: {frame[:40]!r}")
            return
        event = json.loads(frame)
        if problem := fault_of(ClientEvent, event):
            self.refuse(problem)
        kind = str(event["type"])
        if not self.is_ready and kind != "session.start":
            self.refuse(f"{kind} before the session has started")
        await getattr(self, "on_" + kind.replace(".", "_"))(event)

    async def on_session_start(self, event: dict[str, Any]) -> None:
        self.session = event["session"]
        self.instructions = self.session["instructions"]
        form = self.session["audio"]["format"]
        encoding = {"audio/pcm": "s16"}.get(form["type"], form["type"].removeprefix("audio/"))
        if encoding != "s16" and form["rate"] != 8000:
            self.refuse(f"rate of {form}")
        self.input_format = self.output_format = AudioFormat(form["rate"], encoding=encoding)
        for item in self.session.get("input", []):
            self.history.append((item["role"], item["content"][0]["text"]))
        backend = self.session["delegation"].get("responses", {})
        self.tools = [tool["name"] for tool in backend.get("tools", [])]
        await self.send_event({**self._ids("session.started"), "session": self._resource()})
        self.is_ready = True

    async def on_session_input_audio_append(self, event: dict[str, Any]) -> None:
        if self.is_muted:
            self.refuse("audio while it is muted")
        self.heard += unwrapped(event["audio"])

    async def on_session_input_audio_mute(self, event: dict[str, Any]) -> None:
        self.is_muted = True
        await self.send_event(self._ids("session.input_audio.muted"))

    async def on_session_input_audio_unmute(self, event: dict[str, Any]) -> None:
        self.is_muted = False
        await self.send_event(self._ids("session.input_audio.unmuted"))

    async def on_session_commentary_append(self, event: dict[str, Any]) -> None:
        content = self._took(event)
        if content.startswith("Greet the caller now"):
            self.greeting = content
        else:
            self.told.append(("user", content))
            self.answers_asked += 1
            if event["delegation_id"]:
                self.results.append((event["delegation_id"], content))
        await self.send_event({**self._ids("session.commentary.appended"), **self._when(0)})

    async def on_session_thinking_append(self, event: dict[str, Any]) -> None:
        self.told.append(("user", self._took(event)))

    async def on_session_instructions_append(self, event: dict[str, Any]) -> None:
        content = self._took(event)
        if content.startswith("From now on"):
            self.instructions = content
        else:
            self.told.append(("assistant", content))

    async def on_response_item_create(self, event: dict[str, Any]) -> None:
        if self.session["delegation"]["type"] != "responses":
            self.refuse("response.item.create without a delegated model")
        self.results.append((event["item"]["call_id"], event["item"]["output"]))

    async def on_response_create(self, event: dict[str, Any]) -> None:
        self.answers_asked += 1

    def _took(self, event: dict[str, Any]) -> str:
        if "delegation_id" not in event:
            self.refuse(f"{event['type']} without delegation_id")
        if len(event["content"]) > 2000:
            self.refuse(f"{event['type']} of {len(event['content'])} characters")
        self.appended.append(event)
        return str(event["content"])

    # --- the server ------------------------------------------------------------------------------

    def _ids(self, kind: str) -> dict[str, Any]:
        self._events += 1
        return {"type": kind, "event_id": f"event_{self._events}"}

    def _when(self, length_ms: float) -> dict[str, int]:
        return {"start_ms": int(self._position_ms), "end_ms": int(self._position_ms + length_ms)}

    def _resource(self) -> dict[str, Any]:
        now = {"id": "live_1", "expires_at": int(time.time() + 1800), "status": "active"}
        return {**self.session, **now}

    def checked(self, event: dict[str, Any]) -> None:
        problem = fault_of(ServerEvent, event)
        assert not problem, problem

    async def caller_starts(self, at_ms: int) -> None:
        """The protocol has no such event."""

    async def caller_ends(self, at_ms: int) -> None:
        """The protocol has no such event."""

    async def caller_says(self, text: str, *, is_final: bool) -> None:
        added, self._caller = text.removeprefix(self._caller), text
        self._caller_ms += 500
        when = {"start_ms": self._caller_ms - 500, "end_ms": self._caller_ms}
        await self.send_event(
            {**self._ids("session.input_transcript.delta"), "delta": added, **when}
        )
        if is_final:
            self._caller = ""
        if is_final and self.partner is None:
            await self.sound("", self.tone(0.04))  # the engine answers

    async def begin(self, reply_id: str) -> None:
        """The protocol has no replies."""

    async def sound(self, reply_id: str, audio: bytes) -> None:
        self._position_ms += self.output_format.seconds(audio) * 1000
        await self.send_event({"type": "session.output_audio.delta", "delta": wrapped(audio)})

    async def words(self, reply_id: str, text: str) -> None:
        event = {**self._ids("session.output_transcript.delta"), "delta": text, **self._when(200)}
        await self.send_event(event)

    async def finish(self, reply_id: str, end: str = "complete") -> None:
        if self.partner is not None:
            return  # silence flows anyhow
        form = self.output_format
        for _ in range(9):
            await self.sound(reply_id, coded(bytes(form.sample_rate_hz // 10 * 2), form))

    async def ask(self, reply_id: str, call_id: str, name: str, arguments: str) -> None:
        item = {
            "type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name,
            "arguments": arguments, "status": "completed",
        }  # fmt: skip
        inner = {"type": "response.output_item.done", "output_index": 0, "item": item}
        await self.nested(inner)

    async def nested(self, inner: dict[str, Any]) -> None:
        outer = {**self._ids("response.event"), "delegation_id": "del_1", "event": inner}
        await self.send_event(outer)

    async def delegate(self, delegation_id: str) -> None:
        """Hand a task to the client."""
        delegation = {"id": delegation_id, "target": "client", "type": "delegation"}
        event = {**self._ids("session.delegation.created"), "delegation": delegation}
        await self.send_event({**event, "offset_ms": int(self._position_ms)})

    async def spend(self, input_tokens: int, output_tokens: int, audio_s: float) -> None:
        self._seconds += audio_s
        event = {**self._ids("session.usage.updated"), "usage": {"seconds": self._seconds}}
        await self.send_event({**event, "context_window": {"usage_ratio": 0.1}})

    async def error(self, problem: str) -> None:
        code, message = ERRORS[problem]
        error = {"type": "invalid_request_error", "code": code, "message": message}
        await self.send_event({**self._ids("error"), "error": error})

    async def unknown(self) -> None:
        await self.send(json.dumps(self._ids("session.hologram.delta")))

    async def garbage_audio(self, reply_id: str) -> None:
        await self.send_event({"type": "session.output_audio.delta", "delta": "no base64 at all!"})

    async def limit_close(self) -> None:
        usage = {"seconds": self._seconds}
        event = {**self._ids("session.closed"), "reason": "expired", "usage": usage}
        await self.send_event({**event, "session": self._resource()})
        await self.connection.close()


class LiveDouble(EngineDouble):
    PEER = LivePeer
    PATH = "/v1"
    ABILITIES = Abilities(
        is_full_duplex=True,
        has_marks=False,
        hears_of_cuts=False,
        hears_of_positions=False,
        takes_eagerness=False,
        has_ends=False,
        has_welcome=False,
        errors={"quota": QuotaExceeded, **dict.fromkeys(("key", "model"), ProviderRejected)},
    )

    def knows(self, request: Request) -> bool:
        if request.path != "/v1/live/sessions":
            self.problems.append(f"path {request.path}")
        return super().knows(request)
