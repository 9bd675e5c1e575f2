"""Text of a reply -> speech, one piece ahead of the one that is being queued for the line.

Without it the next piece is begun when at most `Lane.LEAD_FRAMES` are left to play: a synthesizer
that needs longer than that leaves a pause in mid-sentence.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from gateway.conversation.growing import Growing
from gateway.conversation.voice import Voice
from gateway.errors import ProviderError
from gateway.providers.contracts import Spoken


@dataclass(frozen=True, slots=True)
class QueuedPiece:
    """A piece on its way from the source to the voice."""

    text: str
    number: int
    """Its place among the generated pieces."""
    generation: int
    """How often text had been taken back before it."""
    growing: Growing | None = None
    """What is known of its rest, for one that is still being written."""


Queued = QueuedPiece | Spoken | None
"""A piece, or speech that needs no rendering; None = there is no more."""


class Rendering:
    """One piece, as far as it is rendered.  Has one writer and one reader."""

    def __init__(self, piece: QueuedPiece) -> None:
        self.piece = piece
        self.is_wanted = asyncio.Event()
        """Set while its reader waits for more of it."""
        self.words: deque[Spoken] = deque()
        """Words with their places, of which the reader has taken no note yet."""
        self._frames: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._is_over = False
        self._error: ProviderError | None = None

    def add(self, frame: Spoken) -> None:
        """Add its next frame, or words, which overtake what waits for the line."""
        if frame.text:
            self.words.append(frame)
        if not frame.pcm:
            return
        self._frames.append(frame.pcm)
        self.is_wanted.clear()
        self._news.set()

    def end(self, error: ProviderError | None = None) -> None:
        """Note that there is no more of it."""
        self._is_over, self._error = True, error
        self._news.set()

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yield its frames as they come; an error of the voice is raised behind them."""
        while True:
            while self._frames:
                yield self._frames.popleft()
            if self._is_over:
                break
            self.is_wanted.set()
            self._news.clear()
            await self._news.wait()
        if self._error is not None:
            raise self._error


class RenderAhead:
    """Renders the pieces of one reply in order, at most one in advance.

    Of a reply that may never be heard nothing is rendered in advance, see `release`: each frame
    waits for the line to want it.
    """

    def __init__(self, voice: Voice, is_void: Callable[[QueuedPiece], bool]) -> None:
        """Make it.

        Args:
            voice: speaks.
            is_void: tells of a piece that it was taken back.
        """
        self._voice = voice
        self._is_void = is_void
        self._is_released = False
        self._waiting: Rendering | None = None
        self._ready: asyncio.Queue[Rendering | Spoken | None] = asyncio.Queue(1)

    def release(self) -> None:
        """The reply is being heard."""
        self._is_released = True
        if self._waiting is not None:
            self._waiting.is_wanted.set()

    async def run(self, pieces: asyncio.Queue[Queued]) -> None:
        """Render until there are no more pieces; the reader ends it at the first error."""
        self._voice.prepare()  # while the text is thought out
        while (piece := await pieces.get()) is not None:
            if isinstance(piece, Spoken):
                await self._ready.put(piece)
                continue
            self._waiting = rendering = Rendering(piece)
            await self._ready.put(rendering)
            await self._wanted(rendering)
            rendering.end(await self._render(rendering))
        await self._ready.put(None)

    async def renderings(self) -> AsyncGenerator[Rendering | Spoken, None]:
        """Yield the pieces in order, each while it is rendered or after."""
        while (rendering := await self._ready.get()) is not None:
            if isinstance(rendering, Rendering):
                rendering.is_wanted.set()
            yield rendering

    async def _render(self, rendering: Rendering) -> ProviderError | None:
        if self._is_void(rendering.piece):
            return None
        try:
            async with aclosing(self._frames(rendering.piece)) as frames:
                async for frame in frames:
                    await self._wanted(rendering)
                    if self._is_void(rendering.piece):
                        break
                    rendering.add(frame)
        except ProviderError as error:
            return error
        return None

    def _frames(self, piece: QueuedPiece) -> AsyncGenerator[Spoken, None]:
        if piece.growing is None:
            return self._voice.frames(piece.text)
        return self._voice.growing_frames(piece.text, piece.growing.rest)

    async def _wanted(self, rendering: Rendering) -> None:
        if not self._is_released:
            await rendering.is_wanted.wait()
