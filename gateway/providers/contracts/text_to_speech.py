"""Synthesizers: sentences in, speech out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from gateway.audio.format import AudioFormat


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of speech, with the words that it carries where the engine reports them."""

    pcm: bytes
    """Mono, in the `output_format` of the engine, of any length: chunks of a network may split a
    sample (whole pieces, see `Delivery`, do not)."""
    text: str = ""
    """The words whose sound begins in this piece, as in the text, each with its punctuation; all
    pieces of a text give its words in their order.  Empty where the engine does not report them."""
    at_ms: int | None = None
    """Where in the sound of a sentence the words begin, for engines that report it beside the
    sound, also without a sound of its own; None = at the beginning of this piece."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the gateway does to an engine's sound before a caller hears it."""

    level_dbfs: float | None = None
    """Wanted level of the spoken parts; None = as the engine speaks."""
    own_level_dbfs: float | None = None
    """Level at which the engine always speaks; None = unknown: whole pieces are measured."""
    has_whole_pieces: bool = False
    """Each piece is a whole sentence; otherwise all pieces together are."""
    trims: bool = True
    """Exchange the silence around a sentence for a natural one."""
    cache_bytes: int = 0
    """Speech that is kept for the next time the same text is said."""


class TtsSession(Protocol):
    """What a synthesizer keeps for one conversation, such as a connection."""

    @property
    def is_usable(self) -> bool:
        """False once it can say nothing more; the gateway then opens another session.

        Its connection is lost, or a sentence was cut off and the vendor has no message for that.
        """

    def speak(self, text: str) -> AsyncIterator[Spoken]:
        """Yield the speech of one sentence, as `TextToSpeech.speak` does; never two at a time."""

    def speak_begun(self, text: str, rest: asyncio.Future[str]) -> AsyncIterator[Spoken]:
        """Yield the speech of a sentence that is still being written, as `speak` does.

        Asked for only where the synthesizer has `takes_beginnings = True`.

        Args:
            text: its first words.
            rest: what follows them, possibly nothing; cancelled when it is no longer wanted.
        """


class TextToSpeech(Protocol):
    """A synthesizer, shared by all calls of a worker."""

    output_format: AudioFormat
    # `open_session(call_id) -> AbstractAsyncContextManager[TtsSession]`: entered as the
    # conversation begins, left with it, and opened again when it is no longer usable.
    # `is_remote = True`: it is behind a network although it has no sessions; a gateway starts
    # while it cannot be reached.
    # `takes_beginnings = True`: its sessions can `speak_begun`.
    # `language = "de"`: what it reads, where it has one; else the agent's language counts.
    # `delivery = Delivery(...)`: what is done to its sound; without it, the sound is left alone.

    async def warm_up(self) -> None:
        """Load and run once.  Raises ProviderError."""

    def speak(self, text: str) -> AsyncIterator[Spoken]:
        """Yield speech in `output_format` as it comes; the gateway trims and levels it.

        Args:
            text: one speakable sentence or clause, no markup.

        Raises:
            ProviderError: the engine failed.
        """

    async def close(self) -> None:
        """Release everything.  Idempotent."""
