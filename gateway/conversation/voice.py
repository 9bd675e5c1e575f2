"""Voice: sentences in, whole 20 ms line frames out, whatever rate the synthesizer has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import structlog

from gateway.audio.format import LINE
from gateway.audio.framer import Framer
from gateway.audio.resample import Resampler
from gateway.conversation.sentences import SentenceSplitter
from gateway.errors import ProviderError
from gateway.providers.contracts import TextToSpeech

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

log = structlog.get_logger(__name__)


class Voice:
    """A synthesizer with the sentences that were rendered ahead of time."""

    def __init__(self, synthesizer: TextToSpeech) -> None:
        self._synthesizer = synthesizer
        self._rendered: dict[str, tuple[bytes, ...]] = {}

    async def render_ahead(self, texts: Iterable[str]) -> None:
        """Render texts that will surely be said, so that they start at once and cannot fail.

        Raises:
            ProviderError: the synthesizer failed.
        """
        for text in texts:
            for piece in pieces_of(text):
                if piece not in self._rendered:
                    self._rendered[piece] = tuple([f async for f in self._synthesize(piece)])

    async def frames(self, piece: str) -> AsyncIterator[bytes]:
        """Yield the frames of one speakable piece of text.

        Raises:
            ProviderError: the synthesizer failed.
        """
        if piece in self._rendered:
            for frame in self._rendered[piece]:
                yield frame
            return
        async with aclosing(self._synthesize(piece)) as frames:
            async for frame in frames:
                yield frame

    def rendered(self, text: str) -> tuple[bytes, ...]:
        """Give the frames of a text that was rendered ahead; none when it was not."""
        pieces = pieces_of(text)
        if not all(piece in self._rendered for piece in pieces):
            return ()
        return tuple(frame for piece in pieces for frame in self._rendered[piece])

    async def _synthesize(self, piece: str) -> AsyncGenerator[bytes, None]:
        source_hz = self._synthesizer.output_format.sample_rate_hz
        resampler = (
            None if source_hz == LINE.sample_rate_hz else Resampler(source_hz, LINE.sample_rate_hz)
        )
        framer = Framer(LINE.frame_bytes)
        chunks = cast("AsyncGenerator[bytes, None]", self._synthesizer.synthesize(piece))
        async with aclosing(chunks):
            async for chunk in chunks:
                for frame in framer.push(resampler.process(chunk) if resampler else chunk):
                    yield frame
        if resampler:
            for frame in framer.push(resampler.flush()):
                yield frame
        for frame in framer.flush():
            yield frame


def pieces_of(text: str) -> Sequence[str]:
    """Cut a whole text the way a streamed reply is cut."""
    splitter = SentenceSplitter()
    return [*splitter.push(text), *splitter.flush()]


async def render_what_can_be(voice: Voice, texts: Iterable[str]) -> None:
    """Render ahead; a text that fails is logged and will be tried again when it is needed."""
    for text in texts:
        try:
            await voice.render_ahead([text])
        except ProviderError as error:
            log.warning("render_ahead_failed", problem=str(error))
            return
