"""A double of OpenAI Realtime; both directions are checked by the types of OpenAI's own SDK."""

from __future__ import annotations

import json
import time
from functools import cache
from typing import Annotated, Any, ClassVar

from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderRejected, QuotaExceeded, RateLimited
from tests.support.engine_double import (
    Abilities,
    EngineDouble,
    Peer,
    unwrapped,
    wrapped,
)

ERRORS = {
    "quota": ("insufficient_quota", "You exceeded your current quota, check your plan."),
    "key": ("invalid_api_key", "Incorrect API key provided."),
    "model": ("model_not_found", "The model does not exist: model"),
    "voice": ("invalid_value", "Invalid value: 'no voice'."),
    "limits": ("rate_limit_exceeded", "Too many requests."),
    "minor": ("item_truncate_invalid_item_id", "There is no such item."),
}
ENDS = {
    "complete": ("completed", None),
    "interrupted": ("cancelled", "turn_detected"),
    "incomplete": ("incomplete", "max_output_tokens"),
    "failed": ("failed", None),
}


@cache
def _adapter(union: Any) -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[union, Field(discriminator="type")])


def fault_of(union: Any, event: dict[str, Any]) -> str:
    """Return what is wrong with an event by the vendor's types; unknown fields are wrong, too."""
    try:
        model = _adapter(union).validate_python(event)
    except ValidationError as error:
        return f"{event.get('type')}: {error}"
    extras = list(_extras(model, str(event.get("type"))))
    return f"unknown fields: {', '.join(extras)}" if extras else ""


def _extras(value: object, where: str) -> Any:
    if isinstance(value, BaseModel):
        for name in value.model_extra or ():
            yield f"{where}.{name}"
        for name in value.model_fields_set & set(type(value).model_fields):
            yield from _extras(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _extras(item, where)


class RealtimePeer(Peer):
    """One session.  Vendors that deviate override `as_openai` and what they need."""

    SERVER_EXTRAS: ClassVar[frozenset[str]] = frozenset({
        "session.updated.session.id", "session.updated.session.object",
        "session.created.session.id", "session.created.session.object",
        "session.updated.session.expires_at", "session.created.session.expires_at",
    })  # fmt: skip
    FOREIGN: ClassVar[frozenset[str]] = frozenset()
    """Types of events that OpenAI does not have."""
    PARTIAL_IS_WHOLE = False
    expires_in_s: float | None = 3600.0

    def __init__(self, double: EngineDouble, connection: Any) -> None:
        super().__init__(double, connection)
        self.session: dict[str, Any] = {}
        """As the client has asked for it, updates merged."""
        self.updates: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        """What `response.create` carried."""
        self.active = ""
        self.sizes: dict[str, int] = {}
        """Bytes of audio of each item."""
        self._calls: dict[str, list[dict[str, Any]]] = {}
        self._known_calls: set[str] = set()
        self._texts: dict[str, str] = {}
        self._turns = 0
        self._events = 0
        self._spent: dict[str, Any] | None = None
        self.refuses_answers = False
        """Answer `response.create` with the error for a reply that is being made."""

    # --- the client ------------------------------------------------------------------------------

    async def read(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self.refuse(f"binary frame: {frame[:40]!r}")
            return
        event = json.loads(frame)
        if problem := fault_of(RealtimeClientEvent, self.as_openai(event)):
            self.refuse(problem)
        name = "on_" + str(event["type"]).replace(".", "_")
        await getattr(self, name)(event)

    def as_openai(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return an event in OpenAI's form, for its types to judge."""
        return event

    async def on_session_update(self, event: dict[str, Any]) -> None:
        update = event["session"]
        self.updates.append(update)
        _merge(self.session, update)
        self.instructions = self.session.get("instructions", "")
        self.tools = [tool["name"] for tool in self.session.get("tools", [])]
        audio = self.session["audio"]
        self.input_format = _format(audio["input"]["format"])
        self.output_format = _format(audio["output"]["format"])
        self.language = ((audio["input"].get("transcription") or {}).get("language")) or ""
        if self.is_ready and (detection := self.detection(update)):
            self.eagerness.append(
                detection.get("eagerness") or str(detection.get("silence_duration_ms"))
            )
        await self.send_event({**self.ids("session.updated"), "session": self.shown()})
        self.is_ready = True

    def detection(self, session: dict[str, Any]) -> dict[str, Any] | None:
        found = session.get("audio", {}).get("input", {}).get("turn_detection")
        return found if isinstance(found, dict) else None

    def shown(self) -> dict[str, Any]:
        """Return the session as the server reports it."""
        now = {"type": "realtime", "object": "realtime.session", "id": "sess_1"}
        expires = {} if self.expires_in_s is None else {"expires_at": self.expires_at()}
        return {**now, **self.session, **expires}

    def expires_at(self) -> int:
        return int(time.time() + (self.expires_in_s or 0))

    async def on_input_audio_buffer_append(self, event: dict[str, Any]) -> None:
        self.heard += unwrapped(event["audio"])

    async def on_input_audio_buffer_commit(self, event: dict[str, Any]) -> None:
        self.commits += 1
        item_id = self.turn_id()
        await self.send_event({
            **self.ids("input_audio_buffer.committed"), "item_id": item_id,
            "previous_item_id": None,
        })  # fmt: skip

    async def on_input_audio_buffer_clear(self, event: dict[str, Any]) -> None:
        await self.send_event(self.ids("input_audio_buffer.cleared"))

    async def on_conversation_item_create(self, event: dict[str, Any]) -> None:
        item = event["item"]
        if len(item.get("id", "")) > 32:
            self.refuse(f"id too long: {item['id']}")
        if item["type"] == "message":
            known = (item["role"], item["content"][0]["text"])
            kinds = {"user": "input_text", "assistant": "output_text", "system": "input_text"}
            if item["content"][0]["type"] != kinds[item["role"]]:
                self.refuse(f"content of {known}")
        elif item["type"] == "function_call":
            known = ("call", item["name"])
            self._known_calls.add(item["call_id"])
        else:
            known = ("tool", item["output"])
            if item["call_id"] not in self._known_calls:
                self.refuse(f"a result of no call: {item['call_id']}")
            self.results.append((item["call_id"], item["output"]))
        self.told.append(known)
        if not self.heard and not self.sizes and not self.active:
            self.history.append(known)
        for kind in ("added", "done"):
            made = {"object": "realtime.item", "status": "completed", **item}
            await self.send_event({**self.ids(f"conversation.item.{kind}"), "item": made})

    async def on_conversation_item_truncate(self, event: dict[str, Any]) -> None:
        item_id, end_ms = event["item_id"], event["audio_end_ms"]
        if item_id not in self.sizes:
            self.refuse(f"truncated an item that is not: {item_id}")
        length_ms = self.sizes.get(item_id, 0) * 1000 / self._bytes_per_s()
        if end_ms > length_ms:
            self.refuse(f"truncated at {end_ms} ms of {length_ms} ms")
        self.cuts.append(end_ms)
        await self.send_event({
            **self.ids("conversation.item.truncated"), "item_id": item_id,
            "content_index": event["content_index"], "audio_end_ms": end_ms,
        })  # fmt: skip

    async def on_response_cancel(self, event: dict[str, Any]) -> None:
        if not self.active or event.get("response_id", self.active) != self.active:
            await self._error("response_cancel_not_active", "Cancellation failed: no response.")
        elif self.partner is not None:
            await self.partner.stop()

    async def on_response_create(self, event: dict[str, Any]) -> None:
        request = event.get("response", {})
        self.requests.append(request)
        if self.active or self.refuses_answers:
            message = f"Conversation already has an active response in progress: {self.active}"
            await self._error("conversation_already_has_active_response", message)
            return
        if request.get("instructions"):
            self.greeting = request["instructions"]
        else:
            self.answers_asked += 1

    # --- the server ------------------------------------------------------------------------------

    def ids(self, kind: str) -> dict[str, Any]:
        self._events += 1
        return {"type": kind, "event_id": f"event_{self._events}"}

    def checked(self, event: dict[str, Any]) -> None:
        if event["type"] in self.FOREIGN:
            return
        problem = fault_of(RealtimeServerEvent, self.as_openai(event))
        fields = problem.removeprefix("unknown fields: ").split(", ")
        assert not problem or self.SERVER_EXTRAS.issuperset(fields), problem

    async def welcome(self) -> None:
        form = {"type": "audio/pcm", "rate": 24000}
        audio = {"input": {"format": form}, "output": {"format": form, "voice": "marin"}}
        session = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "audio": audio}
        await self.send_event({**self.ids("session.created"), "session": session})

    def turn_id(self) -> str:
        return f"item_caller_{self._turns}"

    async def caller_starts(self, at_ms: int) -> None:
        self._turns += 1
        await self.send_event({
            **self.ids("input_audio_buffer.speech_started"), "item_id": self.turn_id(),
            "audio_start_ms": at_ms,
        })  # fmt: skip

    async def caller_ends(self, at_ms: int) -> None:
        item_id = self.turn_id()
        event = {**self.ids("input_audio_buffer.speech_stopped"), "item_id": item_id}
        await self.send_event({**event, "audio_end_ms": at_ms})
        committed = {**self.ids("input_audio_buffer.committed"), "item_id": item_id}
        await self.send_event({**committed, "previous_item_id": None})
        item = {
            "id": item_id, "object": "realtime.item", "type": "message", "role": "user",
            "status": "completed", "content": [{"type": "input_audio", "transcript": None}],
        }  # fmt: skip
        for kind in ("added", "done"):
            await self.send_event({**self.ids(f"conversation.item.{kind}"), "item": item})

    async def caller_says(self, text: str, *, is_final: bool) -> None:
        kind = "conversation.item.input_audio_transcription."
        which = {"item_id": self.turn_id(), "content_index": 0}
        if is_final:
            usage = {"type": "duration", "seconds": 1.5}
            event = {**self.ids(kind + "completed"), **which, "transcript": text, "usage": usage}
            await self.send_event(event)
            return
        known = self._texts.get(self.turn_id(), "")
        self._texts[self.turn_id()] = text
        delta = text if self.PARTIAL_IS_WHOLE else text.removeprefix(known)
        await self.send_event({**self.ids(kind + "delta"), **which, "delta": delta})

    def detects_turns(self) -> bool:
        return self.detection(self.session) is not None

    async def stopped(self, reply_id: str) -> None:
        await self.finish(reply_id, "interrupted")

    def response(self, reply_id: str, status: str, reason: str | None = None) -> dict[str, Any]:
        details: dict[str, Any] | None = {"type": status} if status != "in_progress" else None
        if details and reason:
            details["reason"] = reason
        if details and status == "failed":
            details["error"] = {"type": "server_error", "code": "server_error"}
        return {
            "id": reply_id, "object": "realtime.response", "status": status,
            "status_details": details, "output": [], "conversation_id": "conv_1",
            "output_modalities": ["audio"], "max_output_tokens": "inf", "metadata": None,
        }  # fmt: skip

    def item(self, reply_id: str, part: int = 0) -> str:
        return f"item_{reply_id}" + (f"_{part}" if part else "")

    def _where(self, reply_id: str, part: int = 0) -> dict[str, Any]:
        return {
            "response_id": reply_id, "item_id": self.item(reply_id, part), "output_index": part,
            "content_index": 0,
        }  # fmt: skip

    async def begin(self, reply_id: str) -> None:
        self.active = reply_id
        response = self.response(reply_id, "in_progress")
        await self.send_event({**self.ids("response.created"), "response": response})
        await self.open_item(reply_id, 0)

    async def open_item(self, reply_id: str, part: int) -> None:
        """Begin a spoken item of a reply: most replies have one."""
        item = {
            "id": self.item(reply_id, part), "object": "realtime.item", "type": "message",
            "role": "assistant", "status": "in_progress", "content": [],
        }  # fmt: skip
        added = {**self.ids("response.output_item.added"), "response_id": reply_id}
        await self.send_event({**added, "output_index": part, "item": item})
        known = {**self.ids("conversation.item.added"), "item": item}
        await self.send_event({**known, "previous_item_id": None})
        opened = {**self.ids("response.content_part.added"), **self._where(reply_id, part)}
        await self.send_event({**opened, "part": {"type": "audio", "transcript": ""}})

    async def sound(self, reply_id: str, audio: bytes, part: int = 0) -> None:
        item = self.item(reply_id, part)
        self.sizes[item] = self.sizes.get(item, 0) + len(audio)
        delta = {**self.ids("response.output_audio.delta"), **self._where(reply_id, part)}
        await self.send_event({**delta, "delta": wrapped(audio)})

    async def words(self, reply_id: str, text: str, part: int = 0) -> None:
        delta = {**self.ids("response.output_audio_transcript.delta")}
        await self.send_event({**delta, **self._where(reply_id, part), "delta": text})

    async def finish(self, reply_id: str, end: str = "complete") -> None:
        if self.active != reply_id and end == "complete":
            return
        self.active = ""
        status, reason = ENDS[end]
        where = self._where(reply_id)
        await self.send_event({**self.ids("response.output_audio.done"), **where})
        done = {**self.ids("response.output_audio_transcript.done"), **where}
        await self.send_event({**done, "transcript": ""})
        part = {"type": "audio", "transcript": ""}
        await self.send_event({**self.ids("response.content_part.done"), **where, "part": part})
        response = self.response(reply_id, status, reason)
        response["output"] = self._calls.get(reply_id, [])
        if self._spent:
            response["usage"], self._spent = self._spent, None
        await self.send_event({**self.ids("response.done"), "response": response})

    async def ask(self, reply_id: str, call_id: str, name: str, arguments: str) -> None:
        item_id = f"item_call_{call_id}"
        item = {
            "id": item_id, "object": "realtime.item", "type": "function_call",
            "call_id": call_id, "name": name, "status": "in_progress", "arguments": "",
        }  # fmt: skip
        where = {"response_id": reply_id, "output_index": 1}
        added = {**self.ids("response.output_item.added"), **where, "item": item}
        await self.send_event(added)
        await self.send_event({**self.ids("conversation.item.added"), "item": item})
        which = {**where, "item_id": item_id, "call_id": call_id}
        delta = self.ids("response.function_call_arguments.delta")
        await self.send_event({**delta, **which, "delta": arguments})
        await self.send_event(self.arguments_done(which, name, arguments))
        item = {**item, "status": "completed", "arguments": arguments}
        self._known_calls.add(call_id)
        self._calls.setdefault(reply_id, []).append(item)
        await self.send_event({**self.ids("response.output_item.done"), **where, "item": item})
        await self.send_event({**self.ids("conversation.item.done"), "item": item})

    def arguments_done(self, which: dict[str, Any], name: str, arguments: str) -> dict[str, Any]:
        done = self.ids("response.function_call_arguments.done")
        return {**done, **which, "name": name, "arguments": arguments}

    async def spend(self, input_tokens: int, output_tokens: int, audio_s: float) -> None:
        self._spent = {
            "total_tokens": input_tokens + output_tokens,
            "input_tokens": input_tokens, "output_tokens": output_tokens,
            "input_token_details": {
                "text_tokens": 0, "audio_tokens": input_tokens, "cached_tokens": input_tokens // 2,
            },
            "output_token_details": {"text_tokens": 0, "audio_tokens": output_tokens},
        }  # fmt: skip
        self._turns += 1
        await self.begin(f"spent_{self._turns}")
        await self.finish(f"spent_{self._turns}")

    async def error(self, problem: str) -> None:
        await self._error(*ERRORS[problem])

    async def _error(self, code: str, message: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message}
        await self.send_event({**self.ids("error"), "error": {**error, "param": None}})

    async def unknown(self) -> None:
        await self.send(json.dumps(self.ids("response.hologram.delta")))

    async def garbage_audio(self, reply_id: str) -> None:
        delta = {**self.ids("response.output_audio.delta"), **self._where(reply_id)}
        await self.send_event({**delta, "delta": "no base64 at all!"})

    async def limit_close(self) -> None:
        await self._error("session_expired", "Your session hit the maximum duration of 60 minutes.")
        await self.connection.close(1001)

    def _bytes_per_s(self) -> int:
        return self.output_format.sample_bytes * self.output_format.sample_rate_hz


class OpenAiDouble(EngineDouble):
    PEER = RealtimePeer
    PATH = "/v1"
    ABILITIES = Abilities(
        gateway_turns={"turn_detection": "none"},
        errors={
            "quota": QuotaExceeded, "key": ProviderRejected, "model": ProviderRejected,
            "limits": RateLimited,
        },
    )  # fmt: skip


def _merge(session: dict[str, Any], update: dict[str, Any]) -> None:
    for key, value in update.items():
        if key == "turn_detection" or not isinstance(value, dict):
            session[key] = value
        else:
            _merge(session.setdefault(key, {}), value)


def _format(form: dict[str, Any]) -> AudioFormat:
    encoding = {"audio/pcm": "s16", "audio/pcmu": "pcmu", "audio/pcma": "pcma"}[form["type"]]
    return AudioFormat(form.get("rate", 8000), encoding=encoding)  # type: ignore[arg-type]
