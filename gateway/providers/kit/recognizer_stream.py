"""RecognizerStream: a vendor's words and marks of turns become transcripts and our marks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderError
from gateway.providers.contracts import Expect, Trait, Transcript, TurnMark

MarkKind = Literal["start", "eager_end", "resumed", "end"]
_NOTHING_S = 0.6
"""Without words in progress, a flush that is not answered for this time has found none."""
_NOTHING_MORE_S = 0.1
"""Where the turn has settled words: the same, beyond what the vendor's answers usually take."""
_SOME_S = 2.5
"""With words in progress: they are the answer when the final ones do not come."""
_LISTENS_S = 0.25
"""While it listens, the words of this time ago are the answer: there is nothing to flush."""
OLD_S = 1.0
"""How long words of the turn before may come, from vendors that do not say where they are from."""


@dataclass(frozen=True, slots=True)
class Words:
    """What one message of a vendor means for what is being said."""

    text: str = ""
    """Of the segment or turn in progress: it replaces what was told of that before."""
    is_settled: bool = False
    """It does not change any more; the next words are another segment."""
    mark: MarkKind | None = None
    start_s: float | None = None
    """Where the turn started, in seconds of audio of the connection."""
    end_s: float | None = None
    """Up to where it was heard; None = the vendor does not tell."""
    is_flushed: bool = False
    """It is the answer to a flush."""
    wants_flush: bool = False
    """The vendor is to be asked for its final words now."""
    confidence: float | None = None
    """Probability that the turn is over, where the vendor estimates it."""
    language: str = ""
    """That is spoken, where the vendor detects it."""
    traits: tuple[Trait, ...] = ()
    """What it takes the voice to be."""


Found = TypeVar("Found", Transcript, Transcript | TurnMark)


class RecognizerStream(Generic[Found]):
    """Satisfies `SttStream`, and with `listens` `ListeningStream`.  Loop thread only."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        flush: Callable[[], None],
        audio: AudioFormat,
        expect: Expect,
        *,
        begins: int,
        owed: int,
        answers_in_s: Callable[[], float] | None,
        listens: bool,
    ) -> None:
        """Begin.

        Args:
            send: sends audio.
            flush: asks the vendor for its final words.
            audio: format of what is pushed.
            expect: of the turn.
            begins: samples that the connection has carried before.
            owed: flushes of earlier streams that the vendor has not answered yet.
            answers_in_s: how long its answers to flushes have taken lately; None = it answers
                each, however long that takes.
            listens: the vendor finds the turns.
        """
        self._send = send
        self._flush = flush
        self._audio = audio
        self._choices = {plain(choice): choice for choice in expect.choices}
        self._begins = begins
        self._owed = owed
        self._answers_in_s = answers_in_s
        self._listens = listens
        self._pushed = 0
        self._flushed_at = 0
        self._settled: list[str] = []
        self._current = ""
        self._skipped_words = 0
        """Of the segment in progress: they belong to a turn that is over."""
        self._in_turn = False
        self._shown = ""
        self._language = ""
        """As last reported."""
        self._asked: deque[tuple[int, float]] = deque()
        """(samples pushed, loop time) of each transcript that was asked for."""
        self._found: deque[Any] = deque()
        self._failure: ProviderError | None = None
        self._is_closed = False
        self._wake = asyncio.Event()
        self._time = asyncio.get_running_loop().time
        self._opened_s = self._time()

    def push(self, pcm: bytes) -> None:
        """Accept caller audio, whole samples."""
        if not self._is_closed and pcm:
            self._send(pcm)
            self._pushed += len(pcm) // self._audio.sample_bytes

    def request_transcript(self, among: Sequence[str] = ()) -> None:
        """Ask for a transcript of all audio so far."""
        if self._is_closed:
            return
        self._asked.append((self._pushed, self._time()))
        if not self._listens:
            self._flushed_at = self._pushed
            self._flush()
        self._wake.set()

    def caller_goes_on(self) -> None:
        """Do nothing: an answer that still comes is not wrong."""

    def turn_over(self) -> None:
        """Leave out what was said so far from all that follows."""
        self._skipped_words += len(self._current.split())
        self._settled.clear()
        self._current = self._shown = ""
        self._in_turn = False
        self._asked.clear()

    def close(self) -> bool:
        """End the iteration; return whether audio was pushed for which no words were asked."""
        self._is_closed = True
        self._found.clear()
        self._wake.set()
        return not self._listens and self._pushed > self._flushed_at

    def fail(self, error: ProviderError) -> None:
        """End the iteration with an error."""
        self._failure = error
        self._wake.set()

    def take(self, words: Words) -> None:
        """Accept what the vendor says."""
        if self._is_old(words):
            return
        end = self._position(words.end_s)
        self._hear(words)
        text = self._text
        if self._listens:
            self._find_turn(words, text, end)
        self._language = words.language or self._language
        if self._is_answer(words, end):
            self._answer(text, words, end)
        elif text and (text != self._shown or words.traits):
            self._found.append(
                Transcript(
                    text,
                    end,
                    end_of_turn=words.confidence,
                    language=self._language,
                    is_streamed=True,
                    traits=words.traits,
                )
            )
        self._shown = text
        if self._listens and words.mark == "end":
            self._end_turn(text, end)
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Found]:
        """Yield what is found until the stream is closed.  Raises ProviderError."""
        while True:
            while self._found:
                yield self._found.popleft()
            if self._is_closed:
                return
            if self._failure is not None:
                raise self._failure
            self._wake.clear()
            try:
                async with asyncio.timeout_at(self._due_s):
                    await self._wake.wait()
            except TimeoutError:
                self._overdue()

    @property
    def _text(self) -> str:
        return " ".join(filter(None, (*self._settled, self._current)))

    def _is_old(self, words: Words) -> bool:
        """Return whether the words are of the turn before."""
        if self._listens:
            return False
        if words.end_s is not None:
            return words.end_s * self._audio.sample_rate_hz <= self._begins
        if self._owed and self._time() - self._opened_s < OLD_S:
            self._owed -= words.is_flushed
            return True
        return False

    def _position(self, at_s: float | None) -> int:
        """Return a position on the connection as one in the stream; unknown = as far as pushed."""
        if at_s is None:
            return self._pushed
        at = round(at_s * self._audio.sample_rate_hz) - self._begins
        return min(max(at, 0), self._pushed)

    def _hear(self, words: Words) -> None:
        said = words.text.split()
        text = " ".join(said[self._skipped_words :]) if self._skipped_words else words.text.strip()
        if not words.is_settled:
            if words.text:
                self._current = text
            return
        if text:
            self._settled.append(text)
        self._current = ""
        self._skipped_words = 0

    def _find_turn(self, words: Words, text: str, end: int) -> None:
        if not self._in_turn and (words.mark == "start" or text):
            self._in_turn = True
            start = end if words.start_s is None else self._position(words.start_s)
            self._found.append(TurnMark("start", text, start))
        if self._in_turn and words.mark in {"eager_end", "resumed"}:
            self._found.append(TurnMark(words.mark, text, end))

    def _end_turn(self, text: str, end: int) -> None:
        if self._in_turn:
            self._found.append(TurnMark("end", text, end))
        self._settled.clear()
        self._current = self._shown = ""
        self._skipped_words = 0
        self._in_turn = False

    def _is_answer(self, words: Words, end: int) -> bool:
        if not self._asked:
            return False
        if self._listens:  # a vendor that takes a turn for over has heard its last word
            is_over = words.mark in {"eager_end", "end"}
            return is_over or (words.end_s is not None and end >= self._asked[0][0])
        return words.is_flushed

    def _answer(self, text: str, words: Words, end: int) -> None:
        """Answer the first request, and those whose audio is covered as well."""
        covers, _ = self._asked.popleft()
        while words.end_s is not None and self._asked and self._asked[0][0] <= end:
            covers, _ = self._asked.popleft()
        self._settle(text, covers, words.confidence, words.traits)

    def _settle(
        self,
        text: str,
        covers: int,
        confidence: float | None = None,
        traits: tuple[Trait, ...] = (),
    ) -> None:
        self._found.append(
            Transcript(
                text,
                covers,
                requested=True,
                choice=self._choices.get(plain(text)),
                end_of_turn=confidence,
                language=self._language,
                is_streamed=True,
                traits=traits,
            )
        )

    @property
    def _due_s(self) -> float | None:
        """When a request counts as answered by what is known, by the clock of the loop."""
        if not self._asked:
            return None
        _, since_s = self._asked[0]
        if self._listens:
            return since_s + _LISTENS_S
        if self._answers_in_s is None:
            return None
        if self._current:
            return since_s + _SOME_S
        if self._settled:  # late words would still be added to these
            return since_s + min(_NOTHING_S, self._answers_in_s() + _NOTHING_MORE_S)
        return since_s + _NOTHING_S

    def _overdue(self) -> None:
        if self._due_s is not None and self._time() >= self._due_s:
            covers, _ = self._asked.popleft()
            self._settle(self._text, covers)


def plain(text: str) -> str:
    """Return the words of a text, for comparison with a phrase."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
