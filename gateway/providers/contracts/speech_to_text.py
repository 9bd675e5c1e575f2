"""Recognizers: caller audio in, transcripts out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.audio.format import AudioFormat
from gateway.providers.contracts.expectation import Expect

TraitKind = Literal["emotion", "age", "accent", "language", "pitch", "style"]


@dataclass(frozen=True, slots=True)
class Trait:
    """What a vendor takes the caller's voice to be: its guess, not ours."""

    kind: TraitKind
    value: str
    """The vendor's own word, such as `calm` or `adult`."""
    confidence: float | None = None
    """0..1 as the vendor reports it."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The recognizer's text of one caller turn so far: it replaces every earlier one."""

    text: str
    audio_end_samples: int
    """How much of the pushed audio it covers, in samples of the stream's input format."""
    requested: bool = False
    """True when it answers `request_transcript`: it covers all audio pushed before that call."""
    log_prob: float | None = None
    """Mean log-probability per token, where known (speech: about -0.1, noise below -0.6)."""
    choice: str | None = None
    """The expected phrase that forced choice picked, where `Expect.choices` was given."""
    end_of_turn: float | None = None
    """Probability that the caller's turn is over where the audio ends, where known."""
    language: str = ""
    """That was spoken (ISO 639 or BCP 47), where the recognizer detects it."""
    is_streamed: bool = False
    """True when the recognizer hears all the time: one that was not asked for is as good as one
    that was, as far as it goes, and a reply may be prepared to it."""
    traits: tuple[Trait, ...] = ()
    """What the recognizer reports of the caller's voice beside the words."""


@dataclass(frozen=True, slots=True)
class TurnMark:
    """What a recognizer with turn detection of its own has found in what it listens to."""

    kind: Literal["start", "eager_end", "resumed", "end"]
    """An `eager_end` is a guess: `resumed` takes it back, `end` confirms it."""
    text: str
    """All of the turn so far; may be empty for `start`."""
    audio_samples: int
    """Where in the pushed audio the turn started, or up to where it was heard, in samples of the
    stream's input format."""


class SttStream(Protocol):
    """Recognition of one caller turn.  Iterating it yields transcripts until it is closed."""

    def push(self, pcm: bytes) -> None:
        """Accept caller audio in the provider's `input_format`, whole samples.  Never blocks."""

    def request_transcript(self, among: Sequence[str] = ()) -> None:
        """Ask for a transcript of all audio pushed so far; answered by one with `requested`.

        Args:
            among: phrases that are likely (`a|b` are forms of one); an engine that can compare them
                reports one in `choice`.  What the dialogue expects has priority.
        """

    def caller_goes_on(self) -> None:
        """Note that the caller speaks on and that no requested transcript is awaited.

        It may still be answered; an engine that is busy can skip it.
        """

    def __aiter__(self) -> AsyncIterator[Transcript]:
        """Yield transcripts as they come.

        Raises:
            ProviderError: the engine failed.
        """


class ListeningStream(Protocol):
    """Recognition of all that the caller says, turn after turn.  Iterating it yields what it finds.

    The text of a transcript is that of the turn that the recognizer, or `turn_over`, has begun.
    """

    def push(self, pcm: bytes) -> None:
        """Accept caller audio in the provider's `input_format`, whole samples.  Never blocks."""

    def request_transcript(self, among: Sequence[str] = ()) -> None:
        """Ask for a transcript of all audio pushed so far; it does not end a turn."""

    def caller_goes_on(self) -> None:
        """Note that the caller speaks on and that no requested transcript is awaited."""

    def turn_over(self) -> None:
        """Note that the words so far belong to a turn that is over, ended by the recognizer or not.

        They are not in any later transcript or mark.
        """

    def __aiter__(self) -> AsyncIterator[Transcript | TurnMark]:
        """Yield transcripts and marks as they come.  Raises ProviderError."""


class SttSession(Protocol):
    """What a recognizer keeps for one conversation, such as a connection."""

    # `is_usable: bool`: False once the connection is lost; without it a session is usable.
    # `listen() -> AbstractAsyncContextManager[ListeningStream]`: of a recognizer that
    # `hears_turns` (`SpeechToText.listening`).

    def stream(self, expect: Expect) -> AbstractAsyncContextManager[SttStream]:
        """Open recognition of one caller turn.  Raises ProviderError."""


class SpeechToText(Protocol):
    """A recognizer, shared by all calls of a worker."""

    input_format: AudioFormat
    # `hears_turns: bool`: True = it detects turns, and `listening() -> SpeechToText` returns the
    # same whose sessions have `listen`, and are used for nothing else.
    # `for_line(line_format) -> SpeechToText`: the same for a line of that format, where its own
    # `input_format` would lose some of the band or need a conversion (G.711); it is warmed up and
    # closed with this one.
    # `is_remote = True`: as of a synthesizer.
    # `open_session(call_id) -> AbstractAsyncContextManager[SttSession]`: entered as the
    # conversation begins, left with it, and opened again after a ProviderError.

    async def warm_up(self) -> None:
        """Load and run once, so that the first caller waits for nothing.  Raises ProviderError."""

    def stream(self, expect: Expect) -> AbstractAsyncContextManager[SttStream]:
        """Open recognition of one caller turn."""

    async def close(self) -> None:
        """Release everything.  Idempotent."""
