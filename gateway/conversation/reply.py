"""Reply: one bot turn as one TaskGroup: pieces of text | speech | playout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from gateway.audio.format import LINE
from gateway.conversation.actions import Action
from gateway.conversation.figures import TurnFigures
from gateway.conversation.heard import heard_prefix
from gateway.conversation.live_call import LiveCall
from gateway.conversation.voice import Voice
from gateway.errors import ProviderError, leaves
from gateway.providers.contracts import Expect
from gateway.threads import Lane

_PIECES_AHEAD = 8


@dataclass(slots=True)
class Outcome:
    """What a reply leaves for the conversation."""

    actions: list[Action] = field(default_factory=list)
    """To be performed now that everything was played."""
    action_calls: list[str] = field(default_factory=list)
    """Ids of the tool calls that asked for them."""
    expect: Expect | None = None
    error: ProviderError | None = None
    is_answer: bool = False
    """The brain gave a whole answer: the engines work."""


Source = Callable[[TurnFigures, Outcome], AsyncGenerator[str, None]]
"""Makes the generator of a reply's speakable pieces."""


class Reply:
    """One bot turn.  Never cancels itself: being cancelled is its only stop."""

    def __init__(
        self,
        call: LiveCall,
        voice: Voice,
        source: Source,
        figures: TurnFigures,
        on_first_audio: Callable[[], None],
    ) -> None:
        self._call = call
        self._voice = voice
        self._source = source
        self._on_first_audio = on_first_audio
        self._pieces: list[tuple[str, int]] = []
        self._lane: Lane | None = None
        self._is_cut = False
        self.figures = figures
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Speak it; returns when everything was played.  A failed engine is in the outcome."""
        try:
            async with asyncio.TaskGroup() as group:
                queue: asyncio.Queue[str | None] = asyncio.Queue(_PIECES_AHEAD)
                group.create_task(self._think(queue))
                group.create_task(self._speak(queue))
        except* ProviderError as errors:
            self.outcome.error = next(e for e in leaves(errors) if isinstance(e, ProviderError))
        if self._lane is not None:
            await self._lane.played_out()
        return self.outcome

    def cut(self) -> None:
        """Not a sample more of it may be played, however long its tasks take to end."""
        self._is_cut = True
        if self._lane is not None:
            self._lane.closed = True

    @property
    def was_audible(self) -> bool:
        """True once something of it was sent."""
        return self._lane is not None and self._lane.played > 0

    def heard_text(self) -> str:
        """What the caller has really been sent so far."""
        if self._lane is None:
            return ""
        return heard_prefix(self._pieces, self._lane.played * LINE.frame_samples)

    async def _think(self, queue: asyncio.Queue[str | None]) -> None:
        try:
            async with aclosing(self._source(self.figures, self.outcome)) as pieces:
                async for piece in pieces:
                    if self.figures.first_sentence_s is None:
                        self.figures.first_sentence_s = asyncio.get_running_loop().time()
                    self.figures.generated.append(piece)
                    await queue.put(piece)
        except ProviderError as error:
            self.outcome.error = error  # what was said before is still played
        await queue.put(None)

    async def _speak(self, queue: asyncio.Queue[str | None]) -> None:
        while (piece := await queue.get()) is not None:
            lane = self._lane or self._open_lane()
            entry = len(self._pieces)
            self._pieces.append((piece, 0))
            count = 0
            async for frame in self._voice.frames(piece):
                if lane.queued == 0 and not lane.closed:
                    self._first_audio()
                if count == 0:
                    self._call.note("bot_says", text=piece)
                await lane.write(frame)
                count += LINE.frame_samples
                self._pieces[entry] = (piece, count)

    def _open_lane(self) -> Lane:
        self._lane = Lane() if self._is_cut else self._call.line.outlet.open()
        self._lane.closed = self._is_cut
        return self._lane

    def _first_audio(self) -> None:
        self.figures.first_audio_s = asyncio.get_running_loop().time()
        self.figures.queued_at = self._call.ear.now
        self._on_first_audio()
