"""ChatContext: the model's message history, which knows only what the caller heard.  Pure.

A reply is written between `begin` and `commit`: meanwhile the model sees what it generated, later
only what was played.  `commit` keeps the tools that did run, however little was heard; `drop`
forgets a reply altogether, for one that was only speculation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gateway.conversation.history import (
    amended,
    answered,
    as_heard,
    bounded,
    calls_it,
    joined,
    marked_interrupted,
    moved_to_the_end,
    open_calls,
    settled,
    within_tokens,
)
from gateway.conversation.tokens import tokens_of
from gateway.errors import TurnStateError
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolResult,
    Typed,
    UserMessage,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A history as it was; pass it to `ChatContext.restore`."""

    messages: tuple[Message, ...]
    memo: object
    reply: tuple[Message, ...] | None
    reply_memo: object


class ChatContext:
    """The history of one call."""

    def __init__(
        self, instructions: str, max_messages: int = 60, max_tokens: int = 1_000_000
    ) -> None:
        self.instructions = instructions
        self._max_messages = max_messages
        self._max_tokens = max_tokens
        self._messages: tuple[Message, ...] = ()
        self._memo: object = None
        self._reply: tuple[Message, ...] | None = None
        self._reply_memo: object = None
        self._said_before = ""
        """What the latest turn of the caller held before its last words were added."""
        self._covered: UserMessage | None = None
        """Not seen to be answered in the history, but the memo knows it."""
        self._settled: dict[str, ToolResult] = {}
        """Results that came during the reply in progress: a snapshot from before lacks them."""
        self._untold: set[str] = set()
        """Of these, the calls whose result no reply was about yet."""

    def passed_on(self, instructions: str, max_messages: int, max_tokens: int) -> ChatContext:
        """Return the same history for another agent; what its model wants back begins anew.

        Args:
            instructions: of that agent.
            max_messages: as in the constructor.
            max_tokens: as in the constructor.
        """
        other = ChatContext(instructions, max_messages, max_tokens)
        other._store(self._messages)
        other._untold = set(self._untold)
        return other

    @property
    def has_untold(self) -> bool:
        """True while there is the result of a tool that no reply was about yet."""
        return bool(self._untold)

    @property
    def memo(self) -> object:
        """What the model wants back with its next request; None at first."""
        return self._memo if self._reply is None else self._reply_memo

    def messages(self) -> tuple[Message, ...]:
        """Return what the next request carries, oldest first.

        At most `max_messages` and about `max_tokens`, unless the latest turn alone is more; of
        its tool results only the beginnings are kept then. Every tool call has its result, every
        result its call.
        """
        messages = answered((*self._messages, *(self._reply or ())))
        return within_tokens(bounded(messages, self._max_messages), self._max_tokens)

    def of_reply(self) -> tuple[Message, ...]:
        """Return what the reply in progress has added so far."""
        return answered(self._reply or ())

    def shorten(self) -> bool:
        """Carry about half as much from now on; False when there is nothing left to leave out."""
        before = self.messages()
        self._max_tokens = sum(map(tokens_of, before)) // 2
        return self.messages() != before

    def add_user(
        self, text: str, choice: str | None = None, *, typed: Typed = "", is_answer: bool = True
    ) -> None:
        """Add what the caller said; continues the turn when no answer to it was heard.

        Args:
            text: the new words only (to replace a turn, `restore` the snapshot from before it).
            choice: the expected phrase that recognition was sure of.
            typed: how the keys were typed, if they were.
            is_answer: False for words from before the bot's question was heard.

        Raises:
            TurnStateError: a reply is in progress: commit or drop it first.
        """
        if self._reply is not None:
            raise TurnStateError("the caller's turn cannot be added while a reply is in progress")
        message = UserMessage(text, choice, typed, is_answer)
        last = self._messages[-1] if self._messages else None
        self._said_before = last.text if isinstance(last, UserMessage) else ""
        if not isinstance(last, UserMessage):
            self._store((*self._messages, message))
        else:
            turn = joined(last, message)
            if last is self._covered:
                turn = replace(turn, typed=typed, news=text, is_answer=is_answer)
            self._store((*self._messages[:-1], turn))

    def correct_user(self, text: str) -> None:
        """Replace the words that were added last: an engine reports them late, or better."""
        for position in range(len(self._messages) - 1, -1, -1):
            message = self._messages[position]
            if isinstance(message, UserMessage):
                whole = f"{self._said_before} {text}".strip()
                corrected = replace(message, text=whole)
                before, after = self._messages[:position], self._messages[position + 1 :]
                self._messages = (*before, corrected, *after)
                return

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

    def append(self, message: Message) -> None:
        """Add a message that is no turn of this conversation: a client of the call has made it."""
        self._store((*self._messages, message))

    def has_call(self, call_id: str) -> bool:
        """Return whether the history has a tool call of this id already."""
        return any(calls_it(m, call_id) for m in (*self._messages, *(self._reply or ())))

    def add_tool_results(self, results: Sequence[ToolResult]) -> None:
        """Add results of the latest tool calls.

        Raises:
            TurnStateError: a result that belongs to none of them.
        """
        unanswered = open_calls(self._messages if self._reply is None else self._reply)
        for result in results:
            if result.call_id not in unanswered:
                raise TurnStateError(f"tool result {result.call_id!r} without its call")
            unanswered.discard(result.call_id)
        if self._reply is not None:
            self._reply = (*self._reply, *results)
        else:
            self._store((*self._messages, *results))

    def begin(self) -> None:
        """Start a reply.  Raises TurnStateError when one is in progress."""
        if self._reply is not None:
            raise TurnStateError("a reply is in progress already")
        self._reply, self._reply_memo = (), self._memo
        self._settled.clear()

    def keep_memo(self, state: object) -> None:
        """Accept the memo of the reply in progress; it lasts only if the reply is committed."""
        if self._reply is None:
            raise TurnStateError("a memo belongs to a reply, and none is in progress")
        self._reply_memo = state

    def commit(
        self, heard_text: str, *, interrupted: bool = False, keep_memo: bool = False
    ) -> tuple[Message, ...]:
        """End the reply: it enters the history as far as it was heard.

        Interrupted before anything was heard or any tool had run, it leaves no trace, nor does its
        memo.

        Args:
            heard_text: all that was played of it, over all its messages.
            interrupted: the caller cut it off.
            keep_memo: its memo counts though nothing of it was heard.

        Returns:
            What the history has of it.

        Raises:
            TurnStateError: no reply is in progress.
        """
        if self._reply is None:
            raise TurnStateError("there is no reply to commit")
        heard = as_heard(answered(self._reply), heard_text.strip())
        if interrupted:
            heard = marked_interrupted(heard)
        if heard or not interrupted or keep_memo:
            if not heard and self._memo is not self._reply_memo and self._messages:
                last = self._messages[-1]
                self._covered = last if isinstance(last, UserMessage) else None
            self._memo = self._reply_memo
        self._reply = self._reply_memo = None
        self._store((*self._messages, *heard))
        return heard

    def amend(self, results: Iterable[ToolResult]) -> None:
        """Tell the model something else of tool calls: it came differently than it was told."""
        for result in results:
            self._messages = amended(self._messages, result)

    def settle(self, result: ToolResult) -> None:
        """Put in the result of a call of an earlier reply, where it was said to be running."""
        self._untold.add(result.call_id)
        self._messages = settled(self._messages, result)
        if self._reply is not None:
            self._settled[result.call_id] = result
            self._reply = settled(self._reply, result)

    def bring_forward(self) -> frozenset[str]:
        """Move calls with untold results behind what was said meanwhile: so they are news.

        Returns:
            What the next request tells of; give it to `told` when it was answered.
        """
        for call_id in self._untold:
            self._messages = moved_to_the_end(self._messages, call_id)
        return frozenset(self._untold)

    def results_of(self, call_ids: frozenset[str]) -> list[ToolResult]:
        """Return the results of these calls, in their order."""
        found = (message for message in self.messages() if isinstance(message, ToolResult))
        return [message for message in found if message.call_id in call_ids]

    def told(self, call_ids: frozenset[str]) -> None:
        """Note that the model has answered with these results before it."""
        self._untold -= call_ids

    def replace_messages(self, messages: Sequence[Message]) -> None:
        """Take this for the history: a client has edited it.

        Raises:
            TurnStateError: a reply is in progress: commit or drop it first.
        """
        if self._reply is not None:
            raise TurnStateError("the history cannot be replaced while a reply is in progress")
        self._memo, self._said_before, self._covered = None, "", None
        self._untold.clear()
        self._store(tuple(messages))

    def drop(self) -> None:
        """Forget the reply, its tools and its memo.  Raises TurnStateError when there is none."""
        if self._reply is None:
            raise TurnStateError("there is no reply to drop")
        self._reply = self._reply_memo = None

    def snapshot(self) -> Snapshot:
        """Remember everything as it is now."""
        return Snapshot(self._messages, self._memo, self._reply, self._reply_memo)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to how everything was, but for tools that have come to their end meanwhile."""
        messages, self._memo = snapshot.messages, snapshot.memo
        self._reply, self._reply_memo = snapshot.reply, snapshot.reply_memo
        for result in self._settled.values():
            messages = settled(messages, result)
        self._store(messages)

    def _store(self, messages: tuple[Message, ...]) -> None:
        self._messages = bounded(messages, self._max_messages)
