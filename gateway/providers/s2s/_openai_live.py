"""What OpenAI Live sends, as events of a call.  Pure.

Live has no turns and no replies: sound comes all the time, silence included, and texts carry their
position.  `Spurts` makes replies of the sound; a caller's turn ends where the engine speaks, or
where nothing was said for a while.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from gateway.errors import ProviderProtocolError, ProviderRejected, ProviderUnavailable
from gateway.providers.contracts import ToolCall
from gateway.providers.kit.spurts import Spurts
from gateway.providers.s2s._openai_dialect import Event
from gateway.providers.s2s._openai_errors import ended_by, words_of
from gateway.providers.s2s._openai_events import Failure, number_of, table_of, text_of, whole_of
from gateway.providers.speech_to_speech import (
    DELEGATED,
    CallerText,
    EngineNotice,
    EngineUsage,
    ReplyStarted,
    ReplyText,
    SessionExpires,
    SpeechEvent,
    ToolAsked,
)

PAUSE_MS = 1500
"""Between two texts of the caller: more begins another turn."""
LONGEST_S = 7200.0
_MEANINGLESS = frozenset({
    "session.updated", "session.input_audio.muted", "session.input_audio.unmuted",
    "session.instructions.appended", "session.thinking.appended", "session.commentary.appended",
    "session.output_audio.fixture.playing", "session.output_audio.fixture.played",
})  # fmt: skip
_CLOSED = {"expired": ProviderUnavailable, "content": ProviderRejected}


class LiveReader:
    """Turns events of the server into events of the call."""

    def __init__(self, spurts: Spurts, failure: Failure) -> None:
        self.spurts = spurts
        self.is_started = False
        self.delegations: set[str] = set()
        """Ids of what was delegated to the gateway and is not answered."""
        self._failure = failure
        self._asked: set[str] = set()
        self._early: list[tuple[float, str]] = []
        """Words whose sound has not begun, with their position (ms)."""
        self._turn = 0
        self._text = ""
        self._text_end_ms = 0.0
        self._conversation: list[str] = []
        """What was said since the last delegation, one line for each turn."""
        self._usage = EngineUsage()
        self._read: dict[str, Callable[[Event], Iterator[SpeechEvent]]] = {
            "session.started": self._started,
            "session.output_audio.delta": self._audio,
            "session.output_transcript.delta": self._words,
            "session.input_transcript.delta": self._caller,
            "session.delegation.created": self._delegated,
            "response.event": self._nested,
            "session.usage.updated": self._spent,
            "session.closed": self._closed,
            "error": self._error,
            "info": self._info,
        }

    def read(self, event: Event) -> list[SpeechEvent]:
        """Read one event.  Raises ProviderError: it ends the session."""
        kind = text_of(event, "type")
        if reader := self._read.get(kind):
            return list(reader(event))
        if not kind:
            raise self._failure(ProviderProtocolError, f"an event without a type: {event!r:.120}")
        if kind in _MEANINGLESS:
            return []
        return [EngineNotice(f"unknown event {kind[:80]}", is_unknown_event=True)]

    def _started(self, event: Event) -> Iterator[SpeechEvent]:
        self.is_started = True
        expires_at = number_of(table_of(event, "session"), "expires_at")
        if expires_at:
            in_s = expires_at - datetime.now(UTC).timestamp()
            yield SessionExpires(min(max(in_s, 0.0), LONGEST_S))

    def _audio(self, event: Event) -> Iterator[SpeechEvent]:
        delta = event.get("delta")
        try:
            audio = base64.b64decode(delta, validate=True)  # type: ignore[arg-type]
        except (TypeError, ValueError, binascii.Error):
            problem = f"its audio is not base64: {delta!r:.60}"
            raise self._failure(ProviderProtocolError, problem) from None
        for told in self.spurts.push(audio):
            if isinstance(told, ReplyStarted):
                yield from self._caller_is_done()
            yield told
            if isinstance(told, ReplyStarted):
                yield from self._early_words(told.reply_id)

    def _early_words(self, reply_id: str) -> Iterator[SpeechEvent]:
        """Yield the words that came before the sound of a reply, without those of a cut one."""
        words = [text for at_ms, text in self._early if at_ms >= self.spurts.ended_at_ms]
        self._early.clear()
        if words:
            yield ReplyText(reply_id, "".join(words))

    def _words(self, event: Event) -> Iterator[SpeechEvent]:
        words, start_ms = text_of(event, "delta"), number_of(event, "start_ms") or 0.0
        if not words:
            return
        self._add_line("You", words)
        if self.spurts.current and not self.spurts.is_cut:
            yield ReplyText(self.spurts.current, words)
        elif self.spurts.latest and start_ms < self.spurts.ended_at_ms:
            yield ReplyText(self.spurts.latest, words)
        else:
            self._early.append((start_ms, words))

    def _caller(self, event: Event) -> Iterator[SpeechEvent]:
        added, start_ms = text_of(event, "delta"), number_of(event, "start_ms") or 0.0
        if self._text and start_ms - self._text_end_ms > PAUSE_MS:
            yield from self._caller_is_done()
        if not self._text:
            self._turn += 1
        self._text += added
        self._text_end_ms = number_of(event, "end_ms") or start_ms
        self._add_line("Caller", added)
        yield CallerText(self._text.strip(), f"turn-{self._turn}")

    def _caller_is_done(self) -> Iterator[SpeechEvent]:
        if text := self._text.strip():
            yield CallerText(text, f"turn-{self._turn}", is_final=True)
        self._text = ""

    def _add_line(self, who: str, words: str) -> None:
        head = f"{who}: "
        if self._conversation and self._conversation[-1].startswith(head):
            self._conversation[-1] += words
        else:
            self._conversation.append(head + words.lstrip())

    def _delegated(self, event: Event) -> Iterator[SpeechEvent]:
        delegation = table_of(event, "delegation")
        delegation_id = text_of(delegation, "id")
        if text_of(delegation, "target") != "client" or not delegation_id:
            return
        self.delegations.add(delegation_id)
        said, self._conversation = "\n".join(self._conversation), []
        yield ToolAsked(
            ToolCall(
                delegation_id, DELEGATED, json.dumps({"conversation": said}, ensure_ascii=False)
            ),
            self.spurts.current,
        )

    def _nested(self, event: Event) -> Iterator[SpeechEvent]:
        """Read an event of the model that works behind the voice."""
        inner = table_of(event, "event")
        match text_of(inner, "type"):
            case "response.output_item.done":
                item = table_of(inner, "item")
                call_id = text_of(item, "call_id")
                is_call = text_of(item, "type") == "function_call"
                if is_call and call_id and call_id not in self._asked:
                    self._asked.add(call_id)
                    call = ToolCall(call_id, text_of(item, "name"), text_of(item, "arguments"))
                    yield ToolAsked(call, self.spurts.current)
            case "response.completed":
                usage = table_of(table_of(inner, "response"), "usage")
                self._usage = replace(
                    self._usage,
                    input_tokens=self._usage.input_tokens + whole_of(usage, "input_tokens"),
                    output_tokens=self._usage.output_tokens + whole_of(usage, "output_tokens"),
                )
                yield self._usage
            case "response.failed" | "error":
                error = table_of(table_of(inner, "response"), "error") or inner
                yield EngineNotice(f"the delegated model has failed: {words_of(error)}")

    def _spent(self, event: Event) -> Iterator[SpeechEvent]:
        seconds = number_of(table_of(event, "usage"), "seconds")
        if seconds is not None:
            self._usage = replace(self._usage, audio_s=max(seconds, self._usage.audio_s))
            yield self._usage

    def _closed(self, event: Event) -> Iterator[SpeechEvent]:
        yield from ()
        reason = text_of(event, "reason")
        kind = _CLOSED.get(reason, ProviderUnavailable)
        raise self._failure(kind, f"the engine has closed the session: {reason or 'no reason'}")

    def _error(self, event: Event) -> Iterator[SpeechEvent]:
        error = table_of(event, "error")
        kind = ended_by(error) or (None if self.is_started else ProviderRejected)
        if kind is not None:
            raise self._failure(kind, words_of(error))
        yield EngineNotice(words_of(error))

    def _info(self, event: Event) -> Iterator[SpeechEvent]:
        yield EngineNotice(words_of(event))
