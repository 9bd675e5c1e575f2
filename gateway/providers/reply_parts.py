"""ReplyParts: what has come of one reply, whatever protocol it came by.  Pure.

A protocol reads its own messages and hands over text, thoughts, tool calls and token counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from gateway.errors import ProviderError, ProviderProtocolError, ProviderRejected
from gateway.providers.call_parts import CallParts
from gateway.providers.contracts import ReplyEvent, Retracted, TextDelta, Thinking, Usage
from gateway.providers.reply_text import ReplyText


class ThinkingHabit:
    """What is known of a model: whether its thoughts come without their opening tag."""

    def __init__(self, *, is_known: bool = False) -> None:
        self.is_known = is_known
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


class ReplyParts:
    """Collects one reply."""

    kinds_of_empty: ClassVar[Mapping[str, type[ProviderError]]] = {}
    """What it means when a reply ends for this reason and holds nothing: these are errors."""

    def __init__(
        self, provider: str, tools: Sequence[str] = (), habit: ThinkingHabit | None = None
    ) -> None:
        """Begin.

        Args:
            provider: named in errors.
            tools: names of the tools that there are.
            habit: of the model; None = its thoughts come apart from its text.
        """
        self.has_begun = False
        """Something of the protocol has come."""
        self.usage: Usage | None = None
        """What the server has told of tokens so far."""
        self._provider = provider
        self._habit = habit or ThinkingHabit(is_known=True)
        self._calls = CallParts(tools)
        self._content = ReplyText(
            tools, is_known=self._habit.is_known, waits_for_end=self._habit.is_unopened
        )
        self._finish_reason = ""
        self._has_text = False

    @property
    def has_content(self) -> bool:
        """True once text or a part of a tool call has come (a role or keep-alive is neither)."""
        return self._has_text or bool(self._calls.calls)

    @property
    def may_be_finished(self) -> bool:
        """True once there is a finish reason, which some servers send with every chunk."""
        return bool(self._finish_reason)

    @property
    def is_finished(self) -> bool:
        """True once the server has said why it ended: nothing but usage may follow."""
        return self.may_be_finished

    def feed(self, value: object) -> Iterator[ReplyEvent]:
        """Accept one value of the stream; yield what is certain."""
        raise NotImplementedError

    def feed_usage(self, value: object) -> None:
        """Accept the token counts of a value, and nothing else of it."""
        raise NotImplementedError

    def finish(self) -> Iterator[ReplyEvent]:
        """End of the stream: yield the text that was held back and the tool calls.

        Raises:
            ProviderProtocolError: nothing of the protocol was in the stream.
            ProviderError: it ended with nothing to say, for a reason of `kinds_of_empty`.
        """
        yield from self._seen(self._content.finish())
        self._calls.add_whole(self._content.calls)
        self._habit.saw(unopened=self._content.has_unopened, had_text=self._has_text)
        if not self.has_begun:
            raise ProviderProtocolError(self._provider, "the stream ended without any choice")
        if not self.has_content and (kind := self.kinds_of_empty.get(self._finish_reason)):
            raise kind(self._provider, f"ended with no text, finish reason {self._finish_reason!r}")
        yield from self._calls.finished()

    def _text(self, text: str) -> Iterator[ReplyEvent]:
        if text:
            yield from self._seen(self._content.feed(text))

    def _seen(self, events: Iterator[TextDelta | Thinking | Retracted]) -> Iterator[ReplyEvent]:
        for event in events:
            if not isinstance(event, Thinking):
                self._has_text = isinstance(event, TextDelta)
            yield event


def count(usage: object, *names: str) -> int | None:
    """Read the first of these counts that an object has; None where it has none."""
    for name in names:
        value = usage.get(name) if isinstance(usage, dict) else getattr(usage, name, None)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12:
            return int(value)
    return None


NOTHING_TO_SAY: Mapping[str, type[ProviderError]] = {
    "content_filter": ProviderRejected,
    "length": ProviderRejected,
}
"""As OpenAI names the reasons."""
