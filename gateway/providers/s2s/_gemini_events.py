"""What a server of Gemini Live sends, as the events of a session.  Pure: driven by messages.

Keys may come in camelCase or snake_case.  The API has no ids of replies and turns: both are
numbered here.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator

from gateway.audio.converter import Converter
from gateway.audio.format import AudioFormat
from gateway.errors import ProviderProtocolError, UnsupportedFormat
from gateway.providers.contracts import ToolCall
from gateway.providers.kit import rules
from gateway.providers.s2s._gemini_fields import (
    Json,
    SessionError,
    audio_tokens,
    count_of,
    object_of,
    seconds_of,
)
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
    ToolsWithdrawn,
)

OUTPUT = AudioFormat(24_000)
LATE_MS = 1000.0
"""Audio that comes sooner than this after an interruption belongs to the reply that it ended, if
the server has not completed that turn; measured in caller audio."""
_MOST_PENDING = 100
_NO_FAILURE = frozenset({"", "TURN_COMPLETE_REASON_UNSPECIFIED", "NEED_MORE_INPUT"})
_BROKEN = frozenset({"MALFORMED_FUNCTION_CALL", "MAX_REGENERATION_REACHED", "RESPONSE_REJECTED"})
_CONTENT = frozenset({
    "generationComplete", "groundingMetadata", "inputTranscription", "interactionStatus",
    "interimInputTranscription", "interrupted", "modelTurn", "outputTranscription",
    "turnComplete", "turnCompleteReason", "urlContextMetadata", "waitingForInput",
})  # fmt: skip
_TEXT_PART = frozenset({"text", "thought", "thoughtSignature"})


class Reader:
    """The state of one session as far as its events need it."""

    def __init__(self, *, engine_owns_turns: bool, waits_for_tools: bool = True) -> None:
        """Prepare for one session.

        Args:
            engine_owns_turns: the engine decides when the caller speaks.
            waits_for_tools: it says nothing more while a function runs.
        """
        self._owns_turns = engine_owns_turns
        self._waits_for_tools = waits_for_tools
        self.handle = ""
        """With which the next connection goes on; empty until the server has sent one."""
        self.pending: dict[str, str] = {}
        """Calls without a result: the server's id (empty where it gave none) by ours."""
        self._pushed_ms = 0.0
        self._reply = ""
        self._cut: set[str] = set()
        self._interrupted_ms: float | None = None
        self._was_asked = False
        self._asked_within_reply = False
        self._replies = 0
        self._calls = 0
        self._withdrawn_ids: set[str] = set()
        self._turn = _CallerTurn()
        self._usage = EngineUsage()
        self._converters: dict[int, Converter] = {}

    @property
    def is_generating(self) -> bool:
        """Return whether a reply was asked for or has begun that the server has not completed."""
        return bool(self._reply) or self._was_asked or self._is_late()

    def hear(self, duration_ms: float) -> None:
        """Count caller audio that was sent: the clock of what is late."""
        self._pushed_ms += duration_ms

    def ask(self) -> None:
        """Note that a reply was asked for: it follows the interruption of the current one."""
        self._was_asked = True
        self._asked_within_reply = bool(self._reply)
        self._interrupted_ms = None

    def misses(self, call_id: str) -> bool:
        """Return whether a result can only be told as a text: another session was asked for it."""
        return call_id not in self._withdrawn_ids

    def cut(self, reply_id: str) -> bool:
        """Drop what still comes of a reply; return whether it is the one in progress."""
        if reply_id != self._reply or not reply_id:
            return False
        self._cut.add(reply_id)
        return True

    def read(self, message: Json) -> Iterator[SpeechEvent]:
        """Yield what a message means.

        Raises:
            SessionError: audio that is none, a part that is no object, an error of the server.
        """
        check(message)
        for key, value in object_of(message).items():
            match key:
                case "serverContent":
                    yield from self._content(object_of(value))
                case "toolCall":
                    yield from self._tool_calls(object_of(value))
                case "toolCallCancellation":
                    yield from self._withdrawn(object_of(value))
                case "usageMetadata":
                    yield self._add_usage(object_of(value))
                case "goAway":
                    yield SessionExpires(seconds_of(object_of(value).get("timeLeft")) or 0.0)
                case "sessionResumptionUpdate":
                    self._resumption(object_of(value))
                case "voiceActivity":
                    yield from self._activity(object_of(value))
                case _ if key != "setupComplete":
                    yield EngineNotice(f"unknown message {key[:80]!r}", is_unknown_event=True)

    def _content(self, content: Json) -> Iterator[SpeechEvent]:
        for key in ("inputTranscription", "interimInputTranscription"):
            if key in content:
                yield from self._caller_text(object_of(content[key]), is_interim="interim" in key)
        if content.get("interrupted") is True:
            yield from self._interrupted()
        if "modelTurn" in content:
            yield from self._parts(object_of(content["modelTurn"]).get("parts"))
        if "outputTranscription" in content:
            text = object_of(content["outputTranscription"]).get("text")
            yield from self._words(text if isinstance(text, str) else "")
        if content.get("turnComplete") is True:
            yield from self._completed(str(content.get("turnCompleteReason") or ""))
        for key in content.keys() - _CONTENT:
            yield EngineNotice(f"unknown content {key[:80]!r}", is_unknown_event=True)

    # --- the caller -----------------------------------------------------------------------------

    def _caller_text(self, transcription: Json, *, is_interim: bool) -> Iterator[SpeechEvent]:
        text = transcription.get("text")
        is_last = transcription.get("finished") is True
        if not isinstance(text, str) or not (text or is_last):
            return
        yield from self._caller_speaks()
        yield self._turn.add(text, is_interim=is_interim, is_last=is_last)

    def _caller_speaks(self, at_ms: float | None = None) -> Iterator[SpeechEvent]:
        """Yield that the caller speaks, if that is news and cannot be a late text."""
        if self._owns_turns and not self._turn.is_speaking and not self._reply:
            self._turn.is_speaking = True
            yield CallerStarted(at_ms)

    def _caller_ends(self, at_ms: float | None = None) -> Iterator[SpeechEvent]:
        if self._turn.is_speaking:
            self._turn.is_speaking = False
            yield CallerEnded(at_ms)

    def _activity(self, activity: Json) -> Iterator[SpeechEvent]:
        kind = str(activity.get("voiceActivityType") or "").upper()
        seconds = seconds_of(activity.get("audioOffset"))
        at_ms = None if seconds is None else seconds * 1000
        if kind == "ACTIVITY_START" and self._owns_turns and not self._turn.is_speaking:
            self._turn.is_speaking = True
            yield CallerStarted(at_ms)
        elif kind == "ACTIVITY_END":
            yield from self._caller_ends(at_ms)

    # --- the reply ------------------------------------------------------------------------------

    def _begin(self) -> Iterator[SpeechEvent]:
        """Begin a reply, unless one has begun."""
        if self._reply:
            return
        self._interrupted_ms = None
        self._was_asked = False
        yield from self._caller_ends()
        if final := self._turn.final():
            yield final
        self._replies += 1
        self._reply = f"reply-{self._replies}"
        yield ReplyStarted(self._reply)

    def _is_late(self) -> bool:
        """Return whether what comes now is the rest of an interrupted reply."""
        since = self._interrupted_ms
        return since is not None and self._pushed_ms - since < LATE_MS

    def _parts(self, parts: object) -> Iterator[SpeechEvent]:
        for part in parts if isinstance(parts, list) else ():
            fields = object_of(part)
            if "inlineData" in fields:
                blob = object_of(fields["inlineData"])
                if not str(blob.get("mimeType") or "audio/pcm").startswith("audio/pcm"):
                    yield EngineNotice(f"a part of type {blob.get('mimeType')!r:.80} was left out")
                elif audio := self._audio(blob):
                    yield from self._sound(audio)
            elif not fields.keys() & _TEXT_PART:
                names = ", ".join(sorted(fields))[:80]
                yield EngineNotice(f"unknown part {names!r}", is_unknown_event=True)

    def _sound(self, audio: bytes) -> Iterator[SpeechEvent]:
        if self._is_late():
            return
        yield from self._begin()
        if self._reply not in self._cut:
            yield ReplyAudio(self._reply, audio)

    def _words(self, text: str) -> Iterator[SpeechEvent]:
        if not text or self._is_late():
            return
        yield from self._begin()
        if self._reply not in self._cut:
            yield ReplyText(self._reply, text)

    def _interrupted(self) -> Iterator[SpeechEvent]:
        yield from self._end("interrupted")
        self._interrupted_ms = None if self._was_asked else self._pushed_ms
        self._turn.close_if_final()
        yield from self._caller_speaks()

    def _completed(self, reason: str) -> Iterator[SpeechEvent]:
        self._interrupted_ms = None
        self._was_asked &= self._asked_within_reply
        self._asked_within_reply = False
        if reason in _NO_FAILURE:
            yield from self._end("complete")
        else:
            yield from self._begin()
            yield from self._end("failed" if reason in _BROKEN else "incomplete", reason)
        if final := self._turn.final():
            yield final
        self._turn.close_if_final()

    def _end(self, end: ReplyEnd, problem: str = "") -> Iterator[SpeechEvent]:
        if self._reply:
            was_cut = self._reply in self._cut
            yield ReplyEnded(self._reply, "interrupted" if was_cut else end, problem)
        self._reply = ""
        self._cut.clear()

    def _audio(self, blob: Json) -> bytes:
        """Decode a part's audio to 24 kHz: the server declares its rate with each part.

        Raises:
            SessionError: it is not base64, or its rate is none.
        """
        declared = re.search(r"rate=(\d{1,9})", str(blob.get("mimeType") or ""))
        rate_hz = int(declared[1]) if declared else OUTPUT.sample_rate_hz
        try:
            audio = base64.b64decode(str(blob.get("data") or ""), validate=True)
            if rate_hz == OUTPUT.sample_rate_hz:
                return audio
            if rate_hz not in self._converters:
                self._converters[rate_hz] = Converter(AudioFormat(rate_hz), OUTPUT)
            return self._converters[rate_hz].process(audio)
        except ValueError as error:
            raise SessionError(f"what should be audio is not base64: {error}") from None
        except UnsupportedFormat as error:
            raise SessionError(f"audio of {rate_hz} Hz: {error}") from None

    # --- the rest -------------------------------------------------------------------------------

    def _tool_calls(self, asked: Json) -> Iterator[SpeechEvent]:
        calls = asked.get("functionCalls")
        yield from self._caller_ends()
        for call in map(object_of, calls if isinstance(calls, list) else ()):
            self._calls += 1
            server_id = str(call.get("id") or "")
            call_id = server_id or f"call-{self._calls}"
            arguments = call.get("args", {})
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            self.pending[call_id] = server_id
            if len(self.pending) > _MOST_PENDING:
                del self.pending[next(iter(self.pending))]
            yield ToolAsked(ToolCall(call_id, str(call.get("name") or ""), text), self._reply)
        if self._waits_for_tools:
            yield from self._end("complete")  # what it says with the results is another reply

    def _withdrawn(self, cancellation: Json) -> Iterator[SpeechEvent]:
        ids = cancellation.get("ids")
        known = [str(name) for name in (ids if isinstance(ids, list) else ())]
        gone = tuple(name for name in known if self.pending.pop(name, None) is not None)
        self._withdrawn_ids.update(gone)
        if gone:
            yield ToolsWithdrawn(gone)

    def _add_usage(self, usage: Json) -> EngineUsage:
        """Add what one turn has cost: the API counts each turn by itself, with all its context."""
        was = self._usage
        asked = count_of(usage, "promptTokenCount") + count_of(usage, "toolUsePromptTokenCount")
        made = count_of(usage, "responseTokenCount") + count_of(usage, "thoughtsTokenCount")
        self._usage = EngineUsage(
            was.input_tokens + asked,
            was.output_tokens + made,
            was.input_audio_tokens + audio_tokens(usage.get("promptTokensDetails")),
            was.output_audio_tokens + audio_tokens(usage.get("responseTokensDetails")),
            was.cached_tokens + count_of(usage, "cachedContentTokenCount"),
            was.cached_audio_tokens + audio_tokens(usage.get("cacheTokensDetails")),
        )
        return self._usage

    def _resumption(self, update: Json) -> None:
        handle = update.get("newHandle")
        if isinstance(handle, str) and handle and update.get("resumable") is not False:
            self.handle = handle


class _CallerTurn:
    """The text of the caller's turns, which comes in pieces, before or after the reply begins."""

    def __init__(self) -> None:
        self.is_speaking = False
        self._number = 0
        self._text = ""
        self._is_final = False
        self._is_closed = True

    def add(self, text: str, *, is_interim: bool, is_last: bool) -> CallerText:
        """Return the turn's text with a piece of it; one that may still change is not kept."""
        if self._is_closed:
            self._number += 1
            self._text = ""
            self._is_closed = self._is_final = False
        whole = self._text + text
        if not is_interim:
            self._text = whole
        self._is_final |= is_last
        self._is_closed = is_last
        return CallerText(whole.strip(), f"turn-{self._number}", is_final=self._is_final)

    def final(self) -> CallerText | None:
        """Return the text as final, once; later pieces of the turn still add to it."""
        if self._is_closed or self._is_final or not self._text.strip():
            return None
        self._is_final = True
        return CallerText(self._text.strip(), f"turn-{self._number}", is_final=True)

    def close_if_final(self) -> None:
        """Take what comes next for another turn, if this one is over."""
        self._is_closed |= self._is_final


def check(message: Json) -> None:
    """Raise SessionError if a message reports an error, as proxies do instead of closing."""
    if "error" not in message:
        return
    error = object_of(message["error"])
    code, text = error.get("code"), str(error.get("message") or error.get("status") or "no reason")
    kind = rules.kind_of_limit(text) or ProviderProtocolError
    kind = rules.kind_of_status(code, text) if isinstance(code, int) else kind
    raise SessionError(f"the server reports an error: {text}", kind)
