"""The chat-completions protocol without its I/O: lines of a response to events of a reply.

Written for the many servers that speak it almost: content in parts, whole messages where deltas are
due, no finish reason, no choices, a body that is no stream at all, errors under status 200.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from gateway.errors import ProviderProtocolError, ProviderRejected
from gateway.providers.call_parts import CallParts, as_text, value_of
from gateway.providers.contracts import ReplyEvent, Retracted, TextDelta, Thinking, Usage
from gateway.providers.reply_text import ReplyText

_REASONING = ("reasoning_content", "reasoning", "reasoning_details", "thinking", "thoughts")
_MAX_BODY = 1_000_000


class ThinkingHabit:
    """What is known of a model: whether its thoughts come without their opening tag."""

    def __init__(self) -> None:
        self.is_known = False
        """It has given a whole answer without."""
        self.is_unopened = False
        """It has sent a closing tag alone, and not been seen to do without since."""
        self._plain = 0

    def saw(self, *, unopened: bool, had_text: bool) -> None:
        """Learn from a reply that is over."""
        if unopened:
            self.is_known, self.is_unopened, self._plain = False, True, 0
        elif had_text:
            self._plain += 1
            self.is_known = not self.is_unopened or self._plain >= 3  # not by chance
            self.is_unopened = self.is_unopened and not self.is_known


class StreamedReply:
    """Reads the chunks of one reply.

    Chunks are parsed JSON, or objects of an SDK, of which nothing is sure.
    """

    def __init__(
        self, provider: str, tools: Sequence[str] = (), habit: ThinkingHabit | None = None
    ) -> None:
        self._provider = provider
        self._habit = habit or ThinkingHabit()
        self._calls = CallParts(tools)
        self._content = ReplyText(
            tools, is_known=self._habit.is_known, waits_for_end=self._habit.is_unopened
        )
        self._usage: Usage | None = None
        self._finish_reason = ""
        self._has_choice = False
        self._has_text = False
        self._has_open_chunk = False
        """Content has come without a finish reason: this server does not send one with each."""
        self._is_whole = False

    @property
    def has_content(self) -> bool:
        """True once text or a part of a tool call has come (a role or keep-alive is neither)."""
        return self._has_text or bool(self._calls.calls)

    @property
    def has_choice(self) -> bool:
        """True once anything of a chat completion has come."""
        return self._has_choice

    @property
    def usage(self) -> Usage | None:
        """What the server has said of tokens so far."""
        return self._usage

    @property
    def is_finished(self) -> bool:
        """True once the server has said why it ended: nothing but usage may follow."""
        return self.may_be_finished and (self._is_whole or self._has_open_chunk)

    @property
    def may_be_finished(self) -> bool:
        """True once there is a finish reason, which some servers send with every chunk."""
        return bool(self._finish_reason)

    def feed(self, chunk: object) -> Iterator[ReplyEvent]:
        """Accept one chunk; yield its text.  Refusals are text: they are meant for the caller."""
        self.feed_usage(chunk)
        for choice in _as_list(value_of(chunk, "choices"))[:1]:
            self._has_choice = True
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
        if usage := value_of(chunk, "usage"):
            self._usage = _usage_of(usage, self._usage)

    def finish(self) -> Iterator[ReplyEvent]:
        """End of the stream: yield the text that was held back and the tool calls.

        Raises:
            ProviderProtocolError: nothing of a chat completion was in the stream.
            ProviderRejected: the content filter or the token limit left nothing to say.
        """
        yield from self._seen(self._content.finish())
        self._calls.add_whole(self._content.calls)
        self._habit.saw(unopened=self._content.has_unopened, had_text=self._has_text)
        if not self._has_choice:
            raise ProviderProtocolError(self._provider, "the stream ended without any choice")
        if not self.has_content and self._finish_reason in {"content_filter", "length"}:
            raise ProviderRejected(
                self._provider, f"ended with no text, finish reason {self._finish_reason!r}"
            )
        yield from self._calls.finished()

    def _delta(self, delta: object) -> Iterator[ReplyEvent]:
        text, has_thoughts = _text_of(value_of(delta, "content"))
        if has_thoughts or any(value_of(delta, key) for key in _REASONING):
            yield Thinking()
        yield from self._text(text)
        yield from self._text(as_text(value_of(delta, "refusal")))
        for part in _as_list(value_of(delta, "tool_calls")):
            self._calls.add(part)
        if function := value_of(delta, "function_call"):  # what it was before `tool_calls`
            self._calls.add({"index": 0, "function": function})

    def _text(self, text: str) -> Iterator[ReplyEvent]:
        if text:
            yield from self._seen(self._content.feed(text))

    def _seen(self, events: Iterator[TextDelta | Thinking | Retracted]) -> Iterator[ReplyEvent]:
        for event in events:
            if not isinstance(event, Thinking):
                self._has_text = isinstance(event, TextDelta)
            yield event


def _usage_of(usage: object, earlier: Usage | None) -> Usage | None:
    """Read the counts of a usage object.

    Some servers send a running total with every chunk: the last one counts.  Some leave out one of
    the counts, or send one at the beginning and the other at the end.
    """
    read = _count(usage, "prompt_tokens", "input_tokens")
    written = _count(usage, "completion_tokens", "output_tokens")
    total = _count(usage, "total_tokens")
    if total is not None:
        read = max(0, total - written) if read is None and written is not None else read
        written = max(0, total - read) if written is None and read is not None else written
    if earlier is not None:
        read = earlier.input_tokens if read is None else read
        written = earlier.output_tokens if written is None else written
    return earlier if read is None and written is None else Usage(read, written)


def _count(usage: object, *names: str) -> int | None:
    for name in names:
        value = value_of(usage, name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12:
            return int(value)
    return None


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


class EventReader:
    """Lines of a response body -> JSON values, whether or not it is the stream that was asked for.

    Takes server-sent events, events without blank lines between, lines of JSON, one JSON body.
    """

    def __init__(self) -> None:
        self.is_done = False
        """`[DONE]` has come."""
        self.body = ""
        """What was none of these so far."""
        self._data = ""

    def feed(self, line: str) -> Iterator[object]:
        """Accept a line without its end; yield what it completes."""
        if line.startswith("data:"):
            data = line[5:].strip()
            self.is_done = self.is_done or data.startswith("[DONE]")
            if data and not self.is_done:
                yield from self._parsed(data)
        elif line.strip() and not line.startswith((":", "event:", "id:", "retry:")):
            whole = _parsed(line) if line.startswith("{") else None
            if isinstance(whole, dict):
                yield whole
            elif len(self.body) < _MAX_BODY:
                self.body += line + "\n"

    def finish(self) -> Iterator[object]:
        """End of the body: yield the JSON value that all of it is, if it is one."""
        value = _parsed(self.body) if self.body else None
        if value is not None:
            self.body = ""
            yield value

    def _parsed(self, data: str) -> Iterator[object]:
        value = _parsed(data)
        if value is None and self._data:  # an event of several lines
            value = _parsed(f"{self._data}\n{data}")
        if value is None:
            self._data = f"{self._data}\n{data}".strip()[:_MAX_BODY]
            self.body = self._data
        else:
            self._data = self.body = ""
            yield value


def _parsed(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return value[0]  # Gemini's way to send an error
    return value


def error_in(value: object) -> dict[str, object] | None:
    """Find the error in a JSON value of a response with status 200; None when there is none."""
    if not isinstance(value, dict):
        return None
    for holder in (value, *_as_list(value.get("choices"))[:1]):
        error = value_of(holder, "error")
        if isinstance(error, dict):
            return error
        if error:
            return {"message": str(error)}
    if value.get("object") == "error" or (not value.get("choices") and _is_complaint(value)):
        return {**value, "message": value.get("message") or value.get("detail")}
    return None


def _is_complaint(value: dict[str, object]) -> bool:
    return ("message" in value or "detail" in value) and "usage" not in value


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
