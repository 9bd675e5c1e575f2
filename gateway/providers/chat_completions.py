"""The chat-completions protocol without its I/O: lines of a response to events of a reply.

Written for the many servers that speak it almost: content in parts, whole messages where deltas are
due, no finish reason, no choices, a body that is no stream at all, errors under status 200.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.providers.call_notes import CallNotes
from gateway.providers.call_parts import as_text, value_of
from gateway.providers.contracts import ReplyEvent, Thinking, Usage
from gateway.providers.reply_parts import NOTHING_TO_SAY, ReplyParts, ThinkingHabit, count

_REASONING = ("reasoning_content", "reasoning", "reasoning_details", "thinking", "thoughts")
_ECHOED = "reasoning_content"
"""DeepSeek and Kimi refuse a conversation whose tool calls come back without it."""


class StreamedReply(ReplyParts):
    """Reads the chunks of one reply.

    Chunks are parsed JSON, or objects of an SDK, of which nothing is sure.
    """

    kinds_of_empty = NOTHING_TO_SAY

    def __init__(
        self,
        provider: str,
        tools: Sequence[str] = (),
        habit: ThinkingHabit | None = None,
        notes: CallNotes | None = None,
    ) -> None:
        super().__init__(provider, tools, habit or ThinkingHabit())
        self._notes = notes or CallNotes()
        self._thoughts: list[str] = []
        self._has_open_chunk = False
        """Content has come without a finish reason: this server does not send one with each."""
        self._is_whole = False

    @property
    def is_finished(self) -> bool:
        """True once the server has said why it ended: nothing but usage may follow."""
        return self.may_be_finished and (self._is_whole or self._has_open_chunk)

    def feed(self, chunk: object) -> Iterator[ReplyEvent]:
        """Accept one chunk; yield its text.  Refusals are text: they are meant for the caller."""
        self.feed_usage(chunk)
        for choice in as_list(value_of(chunk, "choices"))[:1]:
            self.has_begun = True
            reason = as_text(value_of(choice, "finish_reason"))
            self._finish_reason = reason or self._finish_reason
            delta = value_of(choice, "delta")
            content = delta or value_of(choice, "message")
            text = as_text(value_of(choice, "text")) if content is None else ""
            self._is_whole = self._is_whole or (not delta and bool(content))
            has_more = bool(text) or _has_content(content)
            self._has_open_chunk = self._has_open_chunk or (has_more and not reason)
            yield from self._delta(content)
            yield from self._text(text)

    def feed_usage(self, chunk: object) -> None:
        """Accept the token counts of a chunk, and nothing else of it."""
        if usage := value_of(chunk, "usage") or value_of(value_of(chunk, "x_groq"), "usage"):
            self.usage = usage_of(usage, self.usage)

    def finish(self) -> Iterator[ReplyEvent]:
        """End of the stream (see `ReplyParts.finish`), and what its calls must come back with."""
        yield from super().finish()
        notes = {}
        for call in self._calls.calls:
            note = {"extra_content": call.extra} if call.extra else {}
            if self._thoughts and call is self._calls.calls[0]:
                note[_ECHOED] = "".join(self._thoughts)
            if note:
                notes[call.id] = note
        if notes:
            yield self._notes.memo(notes)

    def _delta(self, delta: object) -> Iterator[ReplyEvent]:
        text, has_thoughts = _text_of(value_of(delta, "content"))
        if has_thoughts or any(value_of(delta, key) for key in _REASONING):
            yield Thinking()
        if thought := as_text(value_of(delta, _ECHOED)):
            self._thoughts.append(thought)
        yield from self._text(text)
        yield from self._text(as_text(value_of(delta, "refusal")))
        for part in as_list(value_of(delta, "tool_calls")):
            self._calls.add(part)
        if function := value_of(delta, "function_call"):  # what it was before `tool_calls`
            self._calls.add({"index": 0, "function": function})


def usage_of(usage: object, earlier: Usage | None) -> Usage | None:
    """Read the counts of a usage object.

    Some servers send a running total with every chunk: the last one counts.  Some leave out one of
    the counts, or send one at the beginning and the other at the end.
    """
    read = count(usage, "prompt_tokens", "input_tokens")
    written = count(usage, "completion_tokens", "output_tokens")
    total = count(usage, "total_tokens")
    if total is not None:
        read = max(0, total - written) if read is None and written is not None else read
        written = max(0, total - read) if written is None and read is not None else written
    details = value_of(usage, "prompt_tokens_details") or value_of(usage, "input_tokens_details")
    cached = count(details, "cached_tokens")
    if cached is None:  # DeepSeek; Moonshot
        cached = count(usage, "prompt_cache_hit_tokens", "cached_tokens")
    if earlier is not None:
        read = earlier.input_tokens if read is None else read
        written = earlier.output_tokens if written is None else written
        cached = earlier.cached_tokens if cached is None else cached
    if read is None and written is None:
        return earlier
    return Usage(read, written, cached or 0, count(details, "cache_write_tokens") or 0)


def _has_content(delta: object) -> bool:
    text, _ = _text_of(value_of(delta, "content"))
    return bool(text) or any(
        value_of(delta, key) for key in ("tool_calls", "function_call", "refusal", *_REASONING)
    )


def _text_of(content: object) -> tuple[str, bool]:
    """Read a content, a string or parts; return its text and whether there were thoughts in it."""
    if isinstance(content, str):
        return content, False
    if isinstance(content, list):
        read = [_text_of(part) for part in content]
        return "".join(text for text, _ in read), any(thoughts for _, thoughts in read)
    if content is None:
        return "", False
    kind = value_of(content, "type")
    if kind in {None, "text", "output_text"}:
        text = value_of(content, "text")
        return as_text(text) or as_text(value_of(text, "value")), False
    if kind == "refusal":
        return as_text(value_of(content, "refusal")), False
    return "", kind in {"thinking", "reasoning", "thought"}


def error_in(value: object) -> dict[str, object] | None:
    """Find the error in a JSON value of a response with status 200; None when there is none."""
    if not isinstance(value, dict):
        return None
    for holder in (value, value.get("x_groq"), *as_list(value.get("choices"))[:1]):
        error = value_of(holder, "error")
        if isinstance(error, dict):
            return error
        if error:  # xAI's code stands beside
            return {"message": str(error), "code": value.get("code")}
    if value.get("object") == "error" or (not value.get("choices") and _is_complaint(value)):
        return {**value, "message": value.get("message") or value.get("detail")}
    return None


def _is_complaint(value: dict[str, object]) -> bool:
    return ("message" in value or "detail" in value) and "usage" not in value


def as_list(value: object) -> list[object]:
    """Return a list as it is, and an empty one for anything else."""
    return value if isinstance(value, list) else []
