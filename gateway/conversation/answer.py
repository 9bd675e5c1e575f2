"""Answer: what a model returns for one request, from its events to pieces that can be spoken."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from gateway.conversation.asking import without_hint
from gateway.conversation.growing import Growing, beginning_of, without_words
from gateway.conversation.model_stream import ModelStream
from gateway.conversation.reply import Reply
from gateway.conversation.sentences import SentenceSplitter
from gateway.providers.contracts import Retracted, TextDelta, ToolCall


class Answer:
    """One answer of the model, as far as it has come.  Satisfies `Unfinished`."""

    def __init__(self, reply: Reply, tells: frozenset[str] = frozenset()) -> None:
        """Start without a word.

        Args:
            reply: which it is part of.
            tells: late results of tools that it is about.
        """
        self.calls: list[ToolCall] = []
        self.tells = tells
        self.stream: ModelStream | None = None
        self.goes_on = False
        """True for the rest of an answer whose reply was cut in error."""
        self._reply = reply
        self._before = len(reply.figures.generated)
        self._text: list[str] = []
        self._splitter = SentenceSplitter()
        self._ready: deque[str | Growing] = deque()
        self._growing: Growing | None = None
        """Its first sentence, while only the beginning was yielded."""
        self._may_grow = reply.takes_beginnings and not self._before

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self._text)

    def take(self, event: TextDelta | Retracted) -> None:
        """Accept more of it."""
        if isinstance(event, Retracted):
            self._text, self._splitter = [], SentenceSplitter()
            self._ready.clear()
            self.settle()
            self._growing = None
            self._reply.take_back(self._before)
            return
        self._text.append(event.text)
        self._keep(self._splitter.push(event.text))
        if self._may_grow and (begun := beginning_of(self._splitter.pending)):
            self._may_grow, self._growing = False, Growing(begun)
            self._ready.append(self._growing)

    def settle(self) -> None:
        """Leave the first sentence as it is: no more of it will be yielded here."""
        if self._growing is not None:
            self._growing.end("")

    def complete(self) -> None:
        """Note that there is no more."""
        self._keep(self._splitter.flush())

    def pieces(self) -> Iterator[str | Growing]:
        """Yield what can be spoken now, each piece once."""
        while self._ready:
            yield self._ready.popleft()

    def rest(self, reply: Reply) -> Answer:
        """Return what is still to come of it, for the reply that goes on with it."""
        rest = Answer(reply, self.tells)
        rest.goes_on, rest._before = True, 0
        rest.calls, rest.stream = self.calls, self.stream
        rest._splitter, rest._may_grow = self._splitter, False
        waiting = [piece for piece in self._ready if isinstance(piece, str)]
        rest._ready = deque(waiting)
        if self._growing is not None and self._growing not in self._ready:
            rest._splitter.drop_words(len(self._growing.text.split()))
        rest._text = [" ".join([*waiting, self._splitter.pending])]
        return rest

    def close(self) -> None:
        """Ask the model for no more of it.  Idempotent."""
        if self.stream is not None:
            self.stream.close()

    def _keep(self, pieces: list[str]) -> None:
        """Remove the model's hint about its question, which is not to be heard."""
        for piece in pieces:
            said, expect = without_hint(piece)
            self._reply.outcome.expect = expect or self._reply.outcome.expect
            self._may_grow = False
            if self._growing is not None:
                growing, self._growing = self._growing, None
                growing.end(without_words(said, len(growing.text.split())))
            elif said:
                self._ready.append(said)
