"""ChatContext: the model's message history, which knows only what the caller heard.  Pure.

A reply is written between `begin` and `commit`: meanwhile the model sees what it generated, later
only what was played.  `commit` keeps the tools that did run, however little was heard; `drop`
forgets a reply altogether, for one that was only speculation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gateway.errors import TurnStateError
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolResult,
    UserMessage,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A history as it was; give it to `ChatContext.restore`."""

    messages: tuple[Message, ...]
    memo: object
    reply: tuple[Message, ...] | None
    reply_memo: object


class ChatContext:
    """The history of one call."""

    def __init__(self, instructions: str, max_messages: int = 60) -> None:
        self.instructions = instructions
        self._max_messages = max_messages
        self._messages: tuple[Message, ...] = ()
        self._memo: object = None
        self._reply: tuple[Message, ...] | None = None
        self._reply_memo: object = None

    @property
    def is_replying(self) -> bool:
        """True between `begin` and `commit` or `drop`."""
        return self._reply is not None

    @property
    def memo(self) -> object:
        """What the model wants back with its next request; None at first."""
        return self._memo if self._reply is None else self._reply_memo

    def messages(self) -> tuple[Message, ...]:
        """Return what the next request carries, oldest first.

        At most `max_messages`, unless the tools of the latest reply alone are more. Every tool call
        has its result, every result its call.
        """
        return _bounded(_answered((*self._messages, *(self._reply or ()))), self._max_messages)

    def add_user(self, text: str, choice: str | None = None) -> None:
        """Add what the caller said; continues the turn when no answer to it was heard.

        Args:
            text: the new words only (to replace a turn, `restore` the snapshot from before it).
            choice: the expected phrase that recognition was sure of.

        Raises:
            TurnStateError: a reply is in progress: commit or drop it first.
        """
        if self._reply is not None:
            raise TurnStateError("the caller's turn cannot be added while a reply is in progress")
        last = self._messages[-1] if self._messages else None
        if isinstance(last, UserMessage):
            joined = UserMessage(f"{last.text} {text}".strip(), choice)
            self._store((*self._messages[:-1], joined))
        else:
            self._store((*self._messages, UserMessage(text, choice)))

    def add_assistant(
        self,
        text: str,
        tool_calls: Sequence[ToolCall] = (),
        *,
        interrupted: bool = False,
    ) -> None:
        """Add what the bot said: generated text within a reply, heard text outside of one."""
        message = AssistantMessage(text, tuple(tool_calls), interrupted)
        if self._reply is not None:
            self._reply = (*self._reply, message)
        elif text or tool_calls:
            self._store((*self._messages, message))

    def add_tool_results(self, results: Sequence[ToolResult]) -> None:
        """Add results of the latest tool calls.

        Raises:
            TurnStateError: a result that belongs to none of them.
        """
        open_calls = _open_calls(self._messages if self._reply is None else self._reply)
        for result in results:
            if result.call_id not in open_calls:
                raise TurnStateError(f"tool result {result.call_id!r} without its call")
            open_calls.discard(result.call_id)
        if self._reply is not None:
            self._reply = (*self._reply, *results)
        else:
            self._store((*self._messages, *results))

    def begin(self) -> None:
        """Start a reply.  Raises TurnStateError when one is in progress."""
        if self._reply is not None:
            raise TurnStateError("a reply is in progress already")
        self._reply, self._reply_memo = (), self._memo

    def keep_memo(self, state: object) -> None:
        """Take the memo of the reply in progress; it lasts only if the reply is committed."""
        if self._reply is None:
            raise TurnStateError("a memo belongs to a reply, and none is in progress")
        self._reply_memo = state

    def commit(self, heard_text: str, *, interrupted: bool = False) -> None:
        """End the reply: it enters the history as far as it was heard.

        Interrupted before anything was heard or any tool had run, it leaves no trace, nor does its
        memo.

        Args:
            heard_text: all that was played of it, over all its messages.
            interrupted: the caller cut it off.

        Raises:
            TurnStateError: no reply is in progress.
        """
        if self._reply is None:
            raise TurnStateError("there is no reply to commit")
        heard = _as_heard(_answered(self._reply), heard_text.strip())
        if interrupted:
            heard = _mark_last_interrupted(heard)
        if heard or not interrupted:
            self._memo = self._reply_memo
        self._reply = self._reply_memo = None
        self._store((*self._messages, *heard))

    def amend(self, results: Iterable[ToolResult]) -> None:
        """Tell the model something else of tool calls: it came differently than it was told."""
        for result in results:
            self._messages = _amended(self._messages, result)

    def drop(self) -> None:
        """Forget the reply, its tools and its memo.  Raises TurnStateError when there is none."""
        if self._reply is None:
            raise TurnStateError("there is no reply to drop")
        self._reply = self._reply_memo = None

    def snapshot(self) -> Snapshot:
        """Remember everything as it is now."""
        return Snapshot(self._messages, self._memo, self._reply, self._reply_memo)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to how everything was."""
        self._messages, self._memo = snapshot.messages, snapshot.memo
        self._reply, self._reply_memo = snapshot.reply, snapshot.reply_memo

    def _store(self, messages: tuple[Message, ...]) -> None:
        self._messages = _bounded(messages, self._max_messages)


def _amended(messages: tuple[Message, ...], result: ToolResult) -> tuple[Message, ...]:
    """Replace the latest result of the same call: some servers count calls anew per request."""
    for position in range(len(messages) - 1, -1, -1):
        message = messages[position]
        if isinstance(message, ToolResult) and message.call_id == result.call_id:
            return (*messages[:position], result, *messages[position + 1 :])
    return messages


def _open_calls(messages: Sequence[Message]) -> set[str]:
    """Return the ids of the latest message's tool calls that have no result yet."""
    answered: set[str] = set()
    for message in reversed(messages):
        if not isinstance(message, ToolResult):
            calls = message.tool_calls if isinstance(message, AssistantMessage) else ()
            return {call.id for call in calls} - answered
        answered.add(message.call_id)
    return set()


def _answered(messages: Sequence[Message]) -> tuple[Message, ...]:
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


def _as_heard(reply: Sequence[Message], heard_text: str) -> tuple[Message, ...]:
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


def _mark_last_interrupted(reply: tuple[Message, ...]) -> tuple[Message, ...]:
    for position in range(len(reply) - 1, -1, -1):
        message = reply[position]
        if isinstance(message, AssistantMessage):
            marked = replace(message, interrupted=True)
            return (*reply[:position], marked, *reply[position + 1 :])
    return reply


def _bounded(messages: tuple[Message, ...], limit: int) -> tuple[Message, ...]:
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
