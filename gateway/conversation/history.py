"""A history as tuples of messages, and what is made of one.  Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from gateway.conversation.tokens import BYTES_PER_TOKEN, tokens_in, tokens_of
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ToolResult,
    Typed,
    UserMessage,
)

_SHORT = 400
"""A tool result is not cut below this number of bytes."""


def amended(messages: tuple[Message, ...], result: ToolResult) -> tuple[Message, ...]:
    """Replace the latest result of the same call: some servers count calls anew per request."""
    return _replaced(messages, result, only_running=False)


def settled(messages: tuple[Message, ...], result: ToolResult) -> tuple[Message, ...]:
    """Put a result where its call is said to be running; a newer call of that id keeps its own."""
    return _replaced(messages, result, only_running=True)


def _replaced(
    messages: tuple[Message, ...], result: ToolResult, *, only_running: bool
) -> tuple[Message, ...]:
    for position in range(len(messages) - 1, -1, -1):
        message = messages[position]
        if not isinstance(message, ToolResult) or message.call_id != result.call_id:
            continue
        if message.is_running or not only_running:
            return (*messages[:position], result, *messages[position + 1 :])
    return messages


def moved_to_the_end(messages: tuple[Message, ...], call_id: str) -> tuple[Message, ...]:
    """Move a call with its result behind all that was said, but not behind an unanswered turn."""
    at = max((n for n, message in enumerate(messages) if calls_it(message, call_id)), default=-1)
    said = [n for n, m in enumerate(messages) if isinstance(m, AssistantMessage) and m.text]
    if at < 0 or not said or said[-1] <= at:
        return messages
    caller = messages[at]
    assert isinstance(caller, AssistantMessage)  # noqa: S101  # only such a message calls
    call = next(call for call in caller.tool_calls if call.id == call_id)
    left = replace(caller, tool_calls=tuple(c for c in caller.tool_calls if c.id != call_id))
    result = next(m for m in messages[at:] if isinstance(m, ToolResult) and m.call_id == call_id)
    kept: list[Message] = [*messages[:at]]
    rest = [m for m in messages[at + 1 :] if m is not result]
    for message in (left, *rest) if left.text or left.tool_calls else rest:
        if kept and isinstance(message, UserMessage) and isinstance(kept[-1], UserMessage):
            kept[-1] = joined(kept[-1], message)
        else:
            kept.append(message)
    end = len(kept) - 1 if isinstance(kept[-1], UserMessage) else len(kept)
    return (*kept[:end], AssistantMessage("", (call,)), result, *kept[end:])


def joined(earlier: UserMessage, later: UserMessage) -> UserMessage:
    """Make one turn of two."""
    text, typed = join_turns((earlier.text, earlier.typed), (later.text, later.typed))
    return UserMessage(text, later.choice, typed, earlier.is_answer)


def join_turns(earlier: tuple[str, Typed], later: tuple[str, Typed]) -> tuple[str, Typed]:
    """Make one of two turns, (text, typed) each; keys among words are put into words."""
    if bool(earlier[1]) == bool(later[1]):
        return f"{earlier[0]} {later[0]}".strip(), later[1]
    parts = [f"({keys_in_words(text)})" if typed else text for text, typed in (earlier, later)]
    return " ".join(filter(None, parts)), ""


def keys_in_words(keys: str) -> str:
    """Return what was typed, as words for a model."""
    return f"The caller typed {keys}."


def calls_it(message: Message, call_id: str) -> bool:
    """Return whether a message makes the tool call of this id."""
    if not isinstance(message, AssistantMessage):
        return False
    return any(call.id == call_id for call in message.tool_calls)


def open_calls(messages: Sequence[Message]) -> set[str]:
    """Return the ids of the latest message's tool calls that have no result yet."""
    answered: set[str] = set()
    for message in reversed(messages):
        if not isinstance(message, ToolResult):
            calls = message.tool_calls if isinstance(message, AssistantMessage) else ()
            return {call.id for call in calls} - answered
        answered.add(message.call_id)
    return set()


def answered(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Leave out tool calls that have no result: no server accepts them."""
    kept: list[Message] = []
    for position, message in enumerate(messages):
        if not isinstance(message, AssistantMessage) or not message.tool_calls:
            kept.append(message)
            continue
        results = _results_after(messages, position)
        calls = tuple(call for call in message.tool_calls if call.id in results)
        if calls or message.text:
            kept.append(replace(message, tool_calls=calls))
    return tuple(kept)


def _results_after(messages: Sequence[Message], position: int) -> set[str]:
    found: set[str] = set()
    for message in messages[position + 1 :]:
        if not isinstance(message, ToolResult):
            break
        found.add(message.call_id)
    return found


def as_heard(reply: Sequence[Message], heard_text: str) -> tuple[Message, ...]:
    """Spread what was heard over a reply's messages; drop those of which nothing is left.

    What was spoken differs from what was generated in spaces, markup and punctuation, so letters
    and digits are counted: a message takes as many of the heard ones as it has itself, the last
    one takes the rest.
    """
    kept: list[Message] = []
    last = max((n for n, m in enumerate(reply) if isinstance(m, AssistantMessage)), default=-1)
    rest = heard_text
    for position, message in enumerate(reply):
        if not isinstance(message, AssistantMessage):
            kept.append(message)
            continue
        cut = len(rest) if position == last else _end_of_letters(rest, _letters(message.text))
        text, rest = rest[:cut].strip(), rest[cut:]
        if text or message.tool_calls:
            kept.append(replace(message, text=text))
    return tuple(kept)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _end_of_letters(text: str, count: int) -> int:
    """Return the position behind the word in which the first `count` letters of a text end."""
    if not count:
        return 0
    seen = 0
    for position, character in enumerate(text):
        if seen >= count and character.isspace():
            return position
        seen += character.isalnum()
    return len(text)


def marked_interrupted(reply: tuple[Message, ...]) -> tuple[Message, ...]:
    """Mark the last of a reply's texts as cut off by the caller."""
    for position in range(len(reply) - 1, -1, -1):
        message = reply[position]
        if isinstance(message, AssistantMessage):
            marked = replace(message, interrupted=True)
            return (*reply[:position], marked, *reply[position + 1 :])
    return reply


def within_tokens(messages: tuple[Message, ...], limit: int) -> tuple[Message, ...]:
    """Drop whole turns from the front, then the ends of long tool results, until it fits."""
    while sum(map(tokens_of, messages)) > limit:
        starts = [n for n, m in enumerate(messages) if n and isinstance(m, UserMessage)]
        if not starts:
            break
        messages = messages[starts[0] :]
    over = sum(map(tokens_of, messages)) - limit
    if over <= 0:
        return messages
    most = _SHORT // BYTES_PER_TOKEN
    results = [m for m in messages if isinstance(m, ToolResult) and tokens_in(m.content) > most]
    share = over * BYTES_PER_TOKEN // max(1, len(results)) + len('{"beginning": ""}') + 4
    return tuple(_shortened(m, share) if m in results else m for m in messages)


def _shortened(message: Message, size: int) -> Message:
    """Cut `size` bytes off a result."""
    if not isinstance(message, ToolResult):
        return message
    content = message.content.encode("utf-8", "replace")
    kept = content[: max(_SHORT, len(content) - size)].decode("utf-8", "ignore")
    return replace(message, content=json.dumps({"beginning": kept}, ensure_ascii=False))


def bounded(messages: tuple[Message, ...], limit: int) -> tuple[Message, ...]:
    """Drop the oldest beyond a limit; begin with the caller's words or at least no tool result."""
    if len(messages) <= limit:
        return messages
    tail = range(len(messages) - limit, len(messages))
    starts = [n for n in tail if isinstance(messages[n], UserMessage)]
    starts = starts or [n for n in tail if isinstance(messages[n], AssistantMessage)]
    if starts:
        return messages[starts[0] :]
    # Only results are left: their call stays too, or the request would be refused.
    callers = [n for n in range(tail[0]) if isinstance(messages[n], AssistantMessage)]
    return messages[callers[-1] if callers else tail[0] :]
