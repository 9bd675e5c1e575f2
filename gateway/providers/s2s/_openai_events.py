"""What a server of OpenAI's realtime dialect sends, as events of a call.  Pure.

Nothing is taken for granted: events may be unknown, late, double, out of order or without ids.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderError, ProviderProtocolError, ProviderRejected
from gateway.providers.contracts import ToolCall
from gateway.providers.s2s._openai_dialect import Dialect, Event, format_object
from gateway.providers.s2s._openai_errors import ended_by, words_of
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    EngineNotice,
    EngineUsage,
    ReplyAudio,
    ReplyEnd,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SessionExpires,
    SpeechEvent,
    ToolAsked,
)

Failure = Callable[[type[ProviderError], str], ProviderError]
_KEPT_REPLIES = 16
_ENDS: dict[str, ReplyEnd] = {
    "completed": "complete",
    "cancelled": "interrupted",
    "incomplete": "incomplete",
    "failed": "failed",
}
_HARMLESS = frozenset({
    "response_cancel_not_active",
    "conversation_already_has_active_response",
    "input_audio_buffer_commit_empty",
})  # fmt: skip
"""Errors that only say that the other side was faster."""
_MEANINGLESS = frozenset({
    "conversation.created", "conversation.item.done", "conversation.item.deleted",
    "conversation.item.retrieved", "conversation.item.truncated",
    "conversation.item.input_audio_transcription.segment",
    "input_audio_buffer.cleared", "input_audio_buffer.timeout_triggered",
    "input_audio_buffer.dtmf_event_received",
    "output_audio_buffer.started", "output_audio_buffer.stopped", "output_audio_buffer.cleared",
    "response.content_part.added", "response.content_part.done",
    "response.output_audio.done", "response.output_audio_transcript.done",
    "response.output_text.delta", "response.output_text.done",
    "response.function_call_arguments.delta",
    "response.mcp_call_arguments.delta", "response.mcp_call_arguments.done",
    "response.mcp_call.in_progress", "response.mcp_call.completed", "response.mcp_call.failed",
    "mcp_list_tools.in_progress", "mcp_list_tools.completed", "mcp_list_tools.failed",
    "rate_limits.updated",
})  # fmt: skip
"""Of the dialect, without a meaning for a call."""


@dataclass(slots=True)
class Part:
    """One spoken item of a reply."""

    item_id: str
    content_index: int
    size: int = 0
    """Bytes of audio received."""


@dataclass(slots=True)
class Reply:
    """A response of the server's."""

    id: str
    parts: list[Part] = field(default_factory=list)
    is_over: bool = False
    is_cut: bool = False

    def part(self, event: Event) -> Part:
        """Return the item that an audio event belongs to."""
        item_id, index = text_of(event, "item_id"), whole_of(event, "content_index")
        for part in self.parts:
            if (part.item_id, part.content_index) == (item_id, index):
                return part
        self.parts.append(Part(item_id, index))
        return self.parts[-1]


class Reader:
    """Turns events of the server into events of the call; keeps what answers depend on."""

    def __init__(self, dialect: Dialect, form: AudioFormat, failure: Failure) -> None:
        self._dialect = dialect
        self._form = form
        self._failure = failure
        self._replies: dict[str, Reply] = {}
        self._minted = 0
        self._functions: dict[str, tuple[str, str]] = {}
        """Item id -> call id and name."""
        self._asked: set[str] = set()
        self._texts: dict[str, str] = {}
        self._is_told_by_text = False
        self._usage = EngineUsage()
        self.active: Reply | None = None
        """The reply that the server makes now."""
        self.is_accepted = False
        """The server has confirmed a session."""
        self.is_heard_open = False
        """The server has heard speech that it has not committed yet."""
        self.was_refused = False
        """A reply that was asked for is not made, because another one is; the session clears it."""
        self.seen_items: list[str] = []
        """Ids of items that the server has taken; the session clears them."""
        self.failure: ProviderError | None = None
        """What ends the session, once the events of the same message are told."""
        self._read: dict[str, Callable[[Event], Iterator[SpeechEvent]]] = {
            "session.created": self._session,
            "session.updated": self._accepted,
            "input_audio_buffer.speech_started": self._caller_started,
            "input_audio_buffer.speech_stopped": self._caller_ended,
            "input_audio_buffer.committed": self._committed,
            "conversation.item.added": self._item,
            "conversation.item.created": self._item,
            "conversation.item.input_audio_transcription.delta": self._caller_text,
            "conversation.item.input_audio_transcription.updated": self._caller_text,
            "conversation.item.input_audio_transcription.completed": self._caller_text,
            "conversation.item.input_audio_transcription.failed": self._no_text,
            "response.created": self._created,
            "response.output_item.added": self._function,
            "response.output_item.done": self._asks,
            "response.function_call_arguments.done": self._asks,
            "response.output_audio.delta": self._audio,
            "response.output_audio_transcript.delta": self._words,
            "response.done": self._done,
            "error": self._error,
        }

    def read(self, event: Event) -> list[SpeechEvent]:
        """Read one event.

        Raises:
            ProviderProtocolError: it is not of the dialect.
        """
        kind = text_of(event, "type")
        if reader := self._read.get(kind):
            return list(reader(event))
        if not kind:
            raise self._failure(ProviderProtocolError, f"an event without a type: {event!r:.120}")
        if kind in _MEANINGLESS or kind in self._dialect.ignored:
            return []
        return [EngineNotice(f"unknown event {kind[:80]}", is_unknown_event=True)]

    def cut(self, reply_id: str, heard_ms: int) -> list[Event]:
        """Note a cut; return the message that reports it to the server."""
        reply = self._replies.get(reply_id)
        if reply is None or reply.is_cut:
            return []
        reply.is_cut = True
        events: list[Event] = []
        if not reply.is_over:
            events.append({"type": "response.cancel", "response_id": reply.id})
        left_ms = max(0, heard_ms)
        for part in reply.parts:
            length_ms = int(self._ms(part.size))
            if left_ms < length_ms and part.item_id:
                events.append({
                    "type": "conversation.item.truncate",
                    "item_id": part.item_id,
                    "content_index": part.content_index,
                    "audio_end_ms": left_ms,
                })  # fmt: skip
            left_ms = max(0, left_ms - length_ms)
        return events

    def _ms(self, size: int) -> float:
        return size * 1000 / self._form.sample_bytes / self._form.sample_rate_hz

    # --- the session -----------------------------------------------------------------------------

    def _session(self, event: Event) -> Iterator[SpeechEvent]:
        expires_at = table_of(event, "session").get("expires_at")
        if isinstance(expires_at, int | float) and expires_at > 0:
            in_s = expires_at - datetime.now(UTC).timestamp()
            yield SessionExpires(min(max(in_s, 0.0), self._dialect.longest_s))

    def _accepted(self, event: Event) -> Iterator[SpeechEvent]:
        session = table_of(event, "session")
        for name in ("input_format", "output_format"):
            wanted, found = format_object(self._form), _at(session, self._dialect.places[name])
            if isinstance(found, dict) and {**wanted, **found} != wanted:
                problem = f"its {name} is {found}, {wanted} was asked for"
                raise self._failure(ProviderProtocolError, problem)
        is_first, self.is_accepted = not self.is_accepted, True
        if is_first:
            yield from self._session(event)

    def _error(self, event: Event) -> Iterator[SpeechEvent]:
        error = table_of(event, "error")
        code = text_of(error, "code") or text_of(error, "type")
        if code == "conversation_already_has_active_response":
            self.was_refused = True
        kind = ended_by(error)
        if kind is None and not self.is_accepted:
            kind = ProviderRejected
        if kind is not None:
            self.failure = self.failure or self._failure(kind, words_of(error))
        elif code not in _HARMLESS:
            yield EngineNotice(words_of(error))

    # --- the caller ------------------------------------------------------------------------------

    def _caller_started(self, event: Event) -> Iterator[SpeechEvent]:
        was_told, self._is_told_by_text = self._is_told_by_text, False
        self.is_heard_open = True
        if not was_told:
            yield CallerStarted(number_of(event, "audio_start_ms"))

    def _caller_ended(self, event: Event) -> Iterator[SpeechEvent]:
        yield CallerEnded(number_of(event, "audio_end_ms"))

    def _committed(self, _: Event) -> Iterator[SpeechEvent]:
        self.is_heard_open = self._is_told_by_text = False
        yield from ()

    def _item(self, event: Event) -> Iterator[SpeechEvent]:
        self.seen_items.append(text_of(table_of(event, "item"), "id"))
        yield from ()

    def _caller_text(self, event: Event) -> Iterator[SpeechEvent]:
        turn_id = text_of(event, "item_id")
        is_final = text_of(event, "type").endswith(".completed")
        text = text_of(event, "transcript")
        if not text and not is_final:
            added = text_of(event, "delta")
            known = "" if self._dialect.partial_is_whole else self._texts.get(turn_id, "")
            text = known + added
        is_first = self._dialect.text_starts_speech and turn_id not in self._texts
        if is_first and not is_final and not self.is_heard_open:
            self.is_heard_open = self._is_told_by_text = True
            yield CallerStarted()
        self._texts[turn_id] = text
        if is_final:
            self._texts.pop(turn_id, None)
        yield CallerText(text, turn_id, is_final)

    def _no_text(self, event: Event) -> Iterator[SpeechEvent]:
        self._texts.pop(text_of(event, "item_id"), None)
        yield EngineNotice(f"no transcription: {words_of(table_of(event, 'error'))}")

    # --- replies ---------------------------------------------------------------------------------

    def _created(self, event: Event) -> Iterator[SpeechEvent]:
        yield from self._begun(text_of(table_of(event, "response"), "id"))

    def _begun(self, reply_id: str) -> Iterator[SpeechEvent]:
        """Begin a reply unless it is known; one without an id goes on with the latest."""
        if not reply_id and self.active is None:
            self._minted += 1
            reply_id = f"reply-{self._minted}"
        if reply_id and reply_id not in self._replies:
            self.active = self._replies[reply_id] = Reply(reply_id)
            if len(self._replies) > _KEPT_REPLIES:
                del self._replies[next(iter(self._replies))]
            yield ReplyStarted(reply_id)

    def _reply_of(self, event: Event) -> Reply | None:
        """Return the reply that an event belongs to, unless it is over or was cut."""
        reply_id = text_of(event, "response_id")
        reply = self._replies.get(reply_id) if reply_id else self.active
        return None if reply is None or reply.is_over or reply.is_cut else reply

    def _audio(self, event: Event) -> Iterator[SpeechEvent]:
        delta = event.get("delta")
        try:
            audio = base64.b64decode(delta, validate=True)  # type: ignore[arg-type]
        except (TypeError, ValueError, binascii.Error):
            problem = f"its audio is not base64: {delta!r:.60}"
            raise self._failure(ProviderProtocolError, problem) from None
        yield from self._begun(text_of(event, "response_id"))
        if reply := self._reply_of(event):
            reply.part(event).size += len(audio)
            yield ReplyAudio(reply.id, audio)

    def _words(self, event: Event) -> Iterator[SpeechEvent]:
        yield from self._begun(text_of(event, "response_id"))
        if (reply := self._reply_of(event)) and (words := text_of(event, "delta")):
            yield ReplyText(reply.id, words)

    def _function(self, event: Event) -> Iterator[SpeechEvent]:
        item = table_of(event, "item")
        if text_of(item, "type") == "function_call":
            known = text_of(item, "call_id"), text_of(item, "name")
            self._functions[text_of(item, "id")] = known
        yield from ()

    def _asks(self, event: Event) -> Iterator[SpeechEvent]:
        """Read a finished function call: of its own event, or of its item."""
        item = table_of(event, "item") or event
        if item is not event and text_of(item, "type") != "function_call":
            return
        if text_of(item, "status") == "incomplete":
            return
        known = self._functions.get(text_of(event, "item_id"), ("", ""))
        call_id = text_of(item, "call_id") or known[0]
        name = text_of(item, "name") or known[1]
        call_id = call_id or text_of(event, "item_id") or text_of(item, "id")
        if not name or call_id in self._asked:
            return
        yield from self._begun(text_of(event, "response_id"))
        if reply := self._reply_of(event):
            self._asked.add(call_id)
            yield ToolAsked(ToolCall(call_id, name, text_of(item, "arguments")), reply.id)

    def _done(self, event: Event) -> Iterator[SpeechEvent]:
        response = table_of(event, "response")
        reply_id = text_of(response, "id")
        yield from self._begun(reply_id)
        reply = self._replies.get(reply_id) if reply_id else self.active
        yield from self._spent(table_of(response, "usage") or table_of(event, "usage"))
        if reply is None or reply.is_over:
            return
        status = text_of(response, "status")
        for item in _tables(response.get("output")) if status == "completed" else ():
            yield from self._asks({"response_id": reply.id, "item": item})
        reply.is_over = True
        if self.active is reply:
            self.active = None
        details = table_of(response, "status_details")
        error = table_of(details, "error")
        problem = words_of(error) if error else text_of(details, "reason")
        end = _ENDS.get(status, "complete")
        is_plain = end in {"complete", "interrupted"}
        yield ReplyEnded(reply.id, end, "" if is_plain else problem or status)
        if kind := ended_by(error):
            self.failure = self._failure(kind, problem)

    def _spent(self, usage: Event) -> Iterator[SpeechEvent]:
        if not usage:
            return
        inputs, outputs = (table_of(usage, f"{way}_token_details") for way in ("input", "output"))
        self._usage = EngineUsage(
            input_tokens=self._usage.input_tokens + whole_of(usage, "input_tokens"),
            output_tokens=self._usage.output_tokens + whole_of(usage, "output_tokens"),
            input_audio_tokens=self._usage.input_audio_tokens + whole_of(inputs, "audio_tokens"),
            output_audio_tokens=self._usage.output_audio_tokens + whole_of(outputs, "audio_tokens"),
            cached_tokens=self._usage.cached_tokens + whole_of(inputs, "cached_tokens"),
            cached_audio_tokens=self._usage.cached_audio_tokens
            + whole_of(table_of(inputs, "cached_tokens_details"), "audio_tokens"),
        )
        yield self._usage


def text_of(table: Event, key: str) -> str:
    """Return a text; empty where there is none."""
    value = table.get(key)
    return value if isinstance(value, str) else ""


def table_of(table: Event, key: str) -> Event:
    """Return an object; empty where there is none."""
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> list[Event]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number_of(table: Event, key: str) -> float | None:
    """Return a number; None where there is none."""
    value = table.get(key)
    return float(value) if isinstance(value, int | float) else None


def whole_of(table: Event, key: str) -> int:
    """Return a whole number; 0 where there is none."""
    value = table.get(key)
    return value if isinstance(value, int) else 0


def _at(table: Event, path: tuple[str, ...]) -> object:
    found: object = table
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found
