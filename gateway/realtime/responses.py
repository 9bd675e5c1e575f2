"""Response: one answer as the client sees it, from `response.created` to `response.done`.  Pure.

The order of its events is that of `provider-protocols` section 1.5, also for one that was cut.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.providers.contracts import Message, ToolCall
from gateway.realtime.history import History, words_until
from gateway.realtime.protocol import server_events as out
from gateway.realtime.protocol.items import Item
from gateway.realtime.protocol.server_events import Place, ServerEvent

Status = Literal["completed", "cancelled", "incomplete", "failed"]
Send = Callable[[ServerEvent], None]
NewId = Callable[[str], str]
"""Makes an id that begins with this."""


@dataclass(slots=True)
class Terms:
    """What a response is to be."""

    speaks: bool
    conversation_id: str | None
    """None = beside the conversation: nothing of it becomes an item there."""
    output_format: Mapping[str, Any]
    voice: str
    max_output_tokens: int | Literal["inf"] = "inf"
    metadata: Mapping[str, str] | None = None


@dataclass(slots=True)
class _Open:
    """The message that is being said or written."""

    item: Item
    place: Place
    text: list[str] = field(default_factory=list)
    has_audio: bool = False


class Response:
    """One response."""

    def __init__(self, send: Send, new_id: NewId, history: History, terms: Terms) -> None:
        """Begin; nothing is sent yet.

        Args:
            send: takes the events.
            new_id: makes ids.
            history: gets the items, unless it is beside the conversation.
            terms: of this response.
        """
        self._send = send
        self._new_id = new_id
        self._history = history
        self.terms = terms
        self.id = new_id("resp")
        self._output: list[Item] = []
        self._message: _Open | None = None
        self._calls: list[ToolCall] = []
        self.tokens = [0, 0]
        """In and out."""
        self.has_begun = False
        """The bot has taken the floor for it."""
        self.heard_ms: int | None = None
        """How much of it the client says it has played."""
        self.is_over = False
        self._status: str = "in_progress"
        self._details: dict[str, Any] | None = None

    def created(self) -> None:
        """Announce it."""
        self._send(out.response_created(self.shown()))

    # --- what it says ---

    def audio(self, audio: bytes, duration_ms: int) -> None:
        """Send audio, in the client's format."""
        message = self._message or self._begin_message()
        message.has_audio = True
        message.item.audio_ms += duration_ms
        self._send(out.audio_delta(message.place, base64.b64encode(audio).decode("ascii")))

    def words(self, text: str) -> None:
        """Send words that begin to be spoken, or are written."""
        message = self._message or self._begin_message()
        delta = f" {text}" if message.text else text
        message.text.append(delta)
        begins_ms = message.item.audio_ms if message.item.words else 0
        message.item.words.append((begins_ms, text))
        deliver = out.transcript_delta if self.terms.speaks else out.text_delta
        self._send(deliver(message.place, delta))

    def raw_text(self, text: str) -> None:
        """Send text that is written, as it comes."""
        message = self._message or self._begin_message()
        message.text.append(text)
        self._send(out.text_delta(message.place, text))

    def calls(self, calls: Sequence[ToolCall]) -> None:
        """Keep functions for the client to run: they follow what is said."""
        self._calls += calls

    @property
    def item(self) -> Item | None:
        """The message that is being said."""
        return self._message.item if self._message else None

    def _begin_message(self) -> _Open:
        item = Item(self._new_id("item"), "message", status="in_progress", role="assistant")
        place = self._add(item)
        kind, words = ("audio", "transcript") if self.terms.speaks else ("text", "text")
        part = {"type": kind, words: ""}
        self._send(out.content_part("added", place, part))
        self._message = _Open(item, place)
        return self._message

    def _add(self, item: Item) -> Place:
        self._output.append(item)
        place = Place(self.id, item.id, len(self._output) - 1)
        self._send(out.output_item("added", self.id, place.output_index, item.shown()))
        if self.terms.conversation_id is not None:
            before = self._history.append(item)
            self._send(out.item_added(item.shown(), before))
        return place

    # --- how it ends ---

    def done(
        self,
        status: Status,
        reason: str = "",
        *,
        heard: str | None = None,
        messages: Sequence[Message] = (),
        problem: str = "",
    ) -> None:
        """End it.  Idempotent.

        Args:
            status: how.
            reason: `turn_detected`, `client_cancelled`, `max_output_tokens`.
            heard: what counts of a spoken message that was cut; None = all.
            messages: what the history of the call has of it.
            problem: why it has failed.
        """
        if self.is_over:
            return
        self.is_over = True
        self._end_message(is_whole=status == "completed", heard=heard)
        for call in self._calls:
            self._call(call)
        if self._output:
            self._output[0].messages = tuple(messages)
        self._status = status
        if status != "completed":
            self._details = {"type": status}
            if reason:
                self._details["reason"] = reason
            if problem:
                self._details["error"] = {"type": "server_error", "code": "engine_failed"}
        self._send(out.response_done(self.shown()))

    def _end_message(self, *, is_whole: bool, heard: str | None) -> None:
        message, self._message = self._message, None
        if message is None:
            return
        item, place = message.item, message.place
        text = "".join(message.text)
        if not is_whole and heard is not None and self.terms.speaks:
            text = heard
        if self.heard_ms is not None and not is_whole:
            text = min(text, words_until(item, self.heard_ms), key=len)
        item.status = "completed" if is_whole else "incomplete"
        if self.terms.speaks:
            item.content = [{"type": "output_audio", "transcript": text}]
            self._send(out.audio_done(place))
            self._send(out.transcript_done(place, text))
            part = {"type": "audio", "transcript": text}
        else:
            item.content = [{"type": "output_text", "text": text}]
            self._send(out.text_done(place, text))
            part = {"type": "text", "text": text}
        self._send(out.content_part("done", place, part))
        self._done(item, place)

    def _call(self, call: ToolCall) -> None:
        item = Item(self._new_id("item"), "function_call", status="in_progress", name=call.name,
                    call_id=call.id)  # fmt: skip
        place = self._add(item)
        arguments = call.arguments or "{}"
        self._send(out.arguments_delta(place, call.id, arguments))
        self._send(out.arguments_done(place, call.id, call.name, arguments))
        item.arguments, item.status = arguments, "completed"
        self._done(item, place)

    def _done(self, item: Item, place: Place) -> None:
        self._send(out.output_item("done", self.id, place.output_index, item.shown()))
        if self.terms.conversation_id is not None:
            self._send(out.item_done(item.shown(), self._before(item)))

    def _before(self, item: Item) -> str | None:
        before = None
        for other in self._history:
            if other is item:
                return before
            before = other.id
        return before

    def shown(self) -> dict[str, Any]:
        """Return the response as the protocol has it."""
        terms = self.terms
        usage = None
        if self.is_over:
            usage = _usage(*self.tokens)
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self._status,
            "status_details": self._details,
            "output": [item.shown() for item in self._output] if self.is_over else [],
            "conversation_id": terms.conversation_id,
            "output_modalities": ["audio"] if terms.speaks else ["text"],
            "max_output_tokens": terms.max_output_tokens,
            "audio": {"output": {"format": dict(terms.output_format), "voice": terms.voice}},
            "metadata": None if terms.metadata is None else dict(terms.metadata),
            "usage": usage,
        }


def _usage(read: int, written: int) -> dict[str, Any]:
    read, written = max(0, read), max(0, written)
    return {
        "total_tokens": read + written,
        "input_tokens": read,
        "output_tokens": written,
        "input_token_details": {
            "text_tokens": read, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": written, "audio_tokens": 0},
    }  # fmt: skip
