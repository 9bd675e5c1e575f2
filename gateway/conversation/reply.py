"""Reply: one bot turn as one TaskGroup: pieces of text | speech | playout.

It may be prepared before the caller's turn is surely over: then it thinks and speaks into a lane
that nobody hears, until `release`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from gateway.audio.format import LINE
from gateway.conversation.actions import Action
from gateway.conversation.figures import TurnFigures
from gateway.conversation.heard import SpokenPieces
from gateway.conversation.live_call import LiveCall
from gateway.conversation.silence_budget import SilenceBudget
from gateway.conversation.voice import Voice
from gateway.errors import ProviderError, ProviderTimeout, leaves
from gateway.providers.contracts import Expect, ToolResult
from gateway.threads import Lane

_PIECES_AHEAD = 64
"""Text may be so far ahead of the voice: a reply that was cut in error goes on with it."""


@dataclass(slots=True)
class Outcome:
    """What a reply leaves for the conversation."""

    actions: list[Action] = field(default_factory=list)
    """To be performed now that everything was played."""
    action_results: list[ToolResult] = field(default_factory=list)
    """What the model was told of them."""
    expect: Expect | None = None
    error: ProviderError | None = None
    is_answer: bool = False
    """The brain gave a whole answer: the engines work."""
    has_acted: bool = False
    """A tool with side effects was begun: the reply cannot be taken back."""
    tokens: int = 0
    """What the model has counted for it, or an estimate where it did not say."""


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
        self._spoken = SpokenPieces()
        self._lane = Lane()
        self._released = asyncio.Event()
        self._stalled = asyncio.Event()
        self._is_busy = True
        self._is_in_piece = False
        self._sure_at = 0
        self._silent_since = 0
        self._most_played = 0
        """Frames; what is repeated after a pause was heard nevertheless."""
        self._budget: SilenceBudget | None = None
        self.figures = figures
        self.outcome = Outcome()
        self.is_thought_out = False
        """True once its source has given all of its text."""
        self.surely_over = asyncio.Event()
        """Set once the caller's turn is surely over: tools with side effects wait for it."""

    async def run(self) -> Outcome:
        """Speak it; returns when everything was played.  A failed engine is in the outcome."""
        try:
            async with asyncio.TaskGroup() as group:
                queue: asyncio.Queue[str | None] = asyncio.Queue(_PIECES_AHEAD)
                watch = group.create_task(self._watch())
                group.create_task(self._think(queue))
                await self._speak(queue)
                watch.cancel()
        except* ProviderError as errors:
            self.outcome.error = next(e for e in leaves(errors) if isinstance(e, ProviderError))
        self._is_busy = False
        await self._released.wait()
        await self._lane.played_out()
        return self.outcome

    def release(self, budget: SilenceBudget | None = None, sure_at: int = 0) -> None:
        """Let it be heard from now on.

        Args:
            budget: decides what bridges long waits; None = nothing does.
            sure_at: audio time from which the caller's turn is surely over.
        """
        now = self._call.ear.now
        self._budget, self._sure_at = budget, sure_at
        turn = self.figures.turn
        self._silent_since = turn.speech_end if turn else now
        self._released.set()
        if not self._lane.closed:
            self._call.line.outlet.open(self._lane)
        if self._lane.queued:
            self._becomes_audible()

    def cut(self) -> None:
        """Not a sample more of it may be played, however long its tasks take to end."""
        self._lane.closed = True

    @property
    def played_ms(self) -> int:
        """How much of it was sent."""
        return self._heard_frames * LINE.ptime_ms

    def heard_text(self) -> str:
        """What the caller has really been sent so far."""
        return self._spoken.heard_text(self._heard_frames)

    def unheard(self) -> tuple[str, ...]:
        """Return the pieces of it that the caller has not heard to their end."""
        return self._spoken.unheard(self._heard_frames, self.figures.generated)

    @property
    def _heard_frames(self) -> int:
        return max(self._most_played, self._lane.played)

    def on_frame(self, now: int, *, may_bridge: bool) -> list[str]:
        """Let 20 ms pass; returns the pieces that have begun to be heard.

        Args:
            now: audio time at its end.
            may_bridge: nobody else is heard, so that silence is silence.
        """
        self._most_played = self._heard_frames
        begun = self._spoken.newly_heard(self._lane.played)
        for piece in begun:
            self._call.note("bot_says", text=piece.text, is_filler=piece.is_filler)
            if not piece.is_filler and self.figures.fillers and self.figures.answered_at is None:
                self.figures.answered_at = now
        if self._released.is_set() and not self._call.line.outlet.is_paused:
            if now >= self._sure_at:
                self.surely_over.set()
            self._bridge(now, may_talk=may_bridge)
        return [piece.text for piece in begun]

    def _bridge(self, now: int, *, may_talk: bool) -> None:
        """Say something while there is nothing to say."""
        if self._budget is None or not self._is_busy:
            return
        if self._lane.played < self._lane.queued:
            self._silent_since = now
            if not self._spoken.pieces[-1].is_filler:
                self._budget.words_heard(now)
            return
        if now >= self._budget.gives_up_at:
            self._stalled.set()
            return
        if not may_talk:
            self._silent_since = now
            return
        if self._is_in_piece:
            return
        due = self._budget.due_at(self._silent_since)
        if due is not None and now >= due:
            self._say_filler(self._budget.next_text())
            self._silent_since = now

    def _say_filler(self, text: str) -> None:
        frames = self._voice.rendered(text)
        if not frames:
            return  # it could not be rendered: rather no filler than one that hangs
        piece = self._spoken.begin(text, self._lane.queued, is_filler=True)
        for frame in frames:
            self._lane.put_nowait(frame)
        piece.frames, piece.is_whole = len(frames), True
        self.figures.fillers.append(text)
        self._call.metrics.fillers.inc()
        self._becomes_audible()

    async def _watch(self) -> None:
        await self._stalled.wait()
        raise ProviderTimeout("reply", "not a word of it came in time")

    async def _think(self, queue: asyncio.Queue[str | None]) -> None:
        try:
            async with aclosing(self._source(self)) as pieces:
                async for piece in pieces:
                    if self.figures.first_sentence_s is None:
                        self.figures.first_sentence_s = asyncio.get_running_loop().time()
                    self.figures.generated.append(piece)
                    await queue.put(piece)
            self.is_thought_out = True
        except ProviderError as error:
            self.outcome.error = error  # what was said before is still played
        await queue.put(None)

    async def _speak(self, queue: asyncio.Queue[str | None]) -> None:
        while (text := await queue.get()) is not None:
            piece = None
            async for frame in self._voice.frames(text):
                if piece is None:  # only now, for a filler may come while the voice warms up
                    self._is_in_piece = True
                    piece = self._spoken.begin(text, self._lane.queued)
                await self._lane.write(frame)
                self._queued_one()
                piece.frames += 1
            if piece is None:  # no sound to it, but it has been said
                piece = self._spoken.begin(text, self._lane.queued)
            piece.is_whole = True
            self._is_in_piece = False

    def _queued_one(self) -> None:
        if self.figures.first_audio_s is None:
            self.figures.first_audio_s = asyncio.get_running_loop().time()
        if self._released.is_set():
            self._becomes_audible()

    def _becomes_audible(self) -> None:
        if self.figures.queued_at is None and not self._lane.closed:
            self.figures.queued_at = self._call.ear.now
            self._on_first_audio()


Source = Callable[[Reply], AsyncGenerator[str, None]]
"""Makes the generator of a reply's speakable pieces."""
