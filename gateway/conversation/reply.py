"""Reply: one bot turn as one TaskGroup: think | render | play.

It may be prepared before the caller's turn is surely over: then it thinks and speaks into a lane
that is not heard, until `release`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from gateway.call import events
from gateway.call.live_call import LiveCall
from gateway.call.steering import AnswerRequest
from gateway.conversation.actions import Action
from gateway.conversation.bridging import Bridging
from gateway.conversation.figures import TurnFigures
from gateway.conversation.growing import Growing
from gateway.conversation.heard import Piece
from gateway.conversation.playout import Playout
from gateway.conversation.rendering import Queued, QueuedPiece, RenderAhead, Rendering
from gateway.conversation.silence_budget import SilenceBudget
from gateway.conversation.voice import Voice
from gateway.errors import ProviderError, ProviderTimeout, leaves
from gateway.providers.contracts import Expect, Spoken, ToolResult

_PIECES_AHEAD = 64
"""Text may be so far ahead of the voice: a reply that was cut in error goes on with it."""


@dataclass(slots=True)
class Outcome:
    """What a reply leaves for the conversation."""

    actions: list[Action] = field(default_factory=list)
    """To be performed now that everything was played."""
    action_results: list[ToolResult] = field(default_factory=list)
    """What the model was told of them."""
    followed: set[str] = field(default_factory=set)
    """Ids of the calls among them whose failure the model is to answer."""
    expect: Expect | None = None
    hints: int = 0
    """Calls that only told what is expected: the model needs no answer to them."""
    error: ProviderError | None = None
    is_answer: bool = False
    """The model returned a whole answer: the engines work."""
    handed_over: bool = False
    """A client is to run a function of it: the answer to its result is another reply."""
    has_acted: bool = False
    """A tool with side effects was begun: the reply cannot be taken back."""
    tokens: int = 0
    """What the model has counted for it, or an estimate where it did not say."""


class Unfinished(Protocol):
    """An answer of which more is to come, even when its reply was cut."""

    def close(self) -> None:
        """Give it up.  Idempotent."""


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
        self._playout = Playout(call, voice.reading, figures, on_first_audio)
        self._bridging = Bridging(call, voice, self._playout, figures)
        self._rendered = RenderAhead(voice, self._is_void)
        self._released = asyncio.Event()
        self._is_spoken = False
        self._is_busy = True
        self._is_in_piece = False
        self._speech_number: int | None = None
        """Which of the generated pieces the present stretch of speech is."""
        self._sure_at = 0
        self.waits_for_tools = False
        """True while it waits for tools, which have limits of their own: it cannot fail."""
        self._voids: list[tuple[int, int]] = []
        """(from which piece on, up to which generation) nothing is to be said."""
        self.figures = figures
        self.outcome = Outcome()
        self.request: AnswerRequest | None = None
        """What a client wants of it alone."""
        self.unfinished: Unfinished | None = None
        """What its source has not come to the end of; what cuts the reply decides about it."""
        self.is_thought_out = False
        """True once its source has given all of its text."""
        self.surely_over = asyncio.Event()
        """Set once the caller's turn is surely over: tools with side effects wait for it."""

    # --- its tasks: think | render | play ---

    @property
    def takes_beginnings(self) -> bool:
        """True when it is spoken and its voice can begin a sentence that is still being written."""
        return self._is_spoken and self._voice.takes_beginnings

    async def run(self) -> Outcome:
        """Speak it; returns when everything was played.  A failed engine is in the outcome."""
        self._is_spoken = True
        try:
            async with asyncio.TaskGroup() as group:
                queue: asyncio.Queue[Queued] = asyncio.Queue(_PIECES_AHEAD)
                watch = group.create_task(self._watch())
                group.create_task(self._think(queue))
                group.create_task(self._rendered.run(queue))
                await self._speak()
                watch.cancel()
        except* ProviderError as errors:
            self.outcome.error = next(e for e in leaves(errors) if isinstance(e, ProviderError))
        self._is_busy = False
        await self._released.wait()
        await self._playout.played_out()
        return self.outcome

    async def _watch(self) -> None:
        await self._bridging.stalled.wait()
        raise ProviderTimeout("reply", "not a word of it came in time")

    async def _think(self, queue: asyncio.Queue[Queued]) -> None:
        try:
            async with aclosing(self._source(self)) as pieces:
                async for piece in pieces:
                    if self.figures.first_sentence_s is None:
                        self.figures.first_sentence_s = asyncio.get_running_loop().time()
                    await queue.put(self._generated(piece))
            self.is_thought_out = True
        except ProviderError as error:
            self.outcome.error = error  # what was said before is still played
        await queue.put(None)

    def _generated(self, piece: str | Growing | Spoken) -> QueuedPiece | Spoken:
        """Keep the words; those of a stretch of speech are one piece."""
        generated = self.figures.generated
        if isinstance(piece, Spoken):
            if self._speech_number is None and piece.text:
                self._speech_number = len(generated)
                generated.append("")
            if self._speech_number is not None:
                said = generated[self._speech_number] + piece.text
                generated[self._speech_number] = said.lstrip()
            return piece
        self._speech_number = None
        growing = piece if isinstance(piece, Growing) else None
        text = growing.text if growing is not None else str(piece)
        generated.append(text)
        queued = QueuedPiece(text, len(generated) - 1, len(self._voids), growing)
        if growing is not None:
            growing.rest.add_done_callback(partial(self._grown, queued))
        return queued

    def _grown(self, queued: QueuedPiece, rest: asyncio.Future[str]) -> None:
        """Keep the whole of a sentence that was begun before it was written."""
        if not rest.cancelled() and rest.result() and not self._is_void(queued):
            self.figures.generated[queued.number] = f"{queued.text} {rest.result()}"

    async def _speak(self) -> None:
        async with aclosing(self._rendered.renderings()) as renderings:
            async for rendering in renderings:
                if isinstance(rendering, Spoken):
                    await self._playout.speak(rendering)
                    continue
                await self._playout.end_speech()
                if not self._is_void(rendering.piece):
                    await self._speak_piece(rendering)
        await self._playout.end_speech()
        if self._playout.is_mute and self.outcome.error is None:
            self.outcome.error = ProviderError("tts", "gave no sound for any of the reply")

    async def _speak_piece(self, rendering: Rendering) -> None:
        queued, piece = rendering.piece, None
        async with aclosing(rendering.frames()) as frames:
            async for frame in frames:
                if self._is_void(queued):
                    break
                if piece is None:  # only now, for a filler may come while the voice warms up
                    self._is_in_piece = True
                    piece = self._playout.begin(queued.text)
                    piece.is_open = queued.growing is not None
                self._grow(piece, queued)
                self._keep_words(piece, rendering)
                if not await self._playout.write(piece, frame, partial(self._is_void, queued)):
                    break
        self._is_in_piece = False
        if self._is_void(queued):
            return
        if piece is None:  # no sound to it, but it has been said
            piece = self._playout.begin(queued.text)
        self._grow(piece, queued)
        self._keep_words(piece, rendering)
        piece.is_whole, piece.is_open = True, False

    def _grow(self, piece: Piece, queued: QueuedPiece) -> None:
        rest = queued.growing.known_rest if queued.growing is not None else None
        if rest is not None and piece.text == queued.text:
            self._playout.grow(piece, rest)

    def _keep_words(self, piece: Piece, rendering: Rendering) -> None:
        while rendering.words:
            words = rendering.words.popleft()
            piece.begin_words(words.text, words.at_ms)

    # --- what the floor does with it ---

    def release(self, budget: SilenceBudget | None = None, sure_at: int = 0) -> None:
        """Let it be heard from now on.

        Args:
            budget: decides what bridges long waits; None = nothing does.
            sure_at: audio time from which the caller's turn is surely over.
        """
        self._sure_at = sure_at
        turn = self.figures.turn
        self._bridging.begin(budget, turn.speech_end if turn else self._call.audio.now)
        self._released.set()
        self._rendered.release()
        self._playout.release()

    def follow(self, filler: str, rest: Sequence[bytes]) -> None:
        """Let a filler that is being heard come to its end before this; call before `release`."""
        self._playout.put_first(filler, rest)

    def take_back(self, kept: int) -> None:
        """Speak nothing more of its text behind the first `kept` pieces: it was no answer."""
        self._voids.append((kept, len(self._voids)))
        del self.figures.generated[kept:]
        self._playout.take_back(kept)

    def _is_void(self, piece: QueuedPiece) -> bool:
        return any(piece.number >= kept and piece.generation <= upto for kept, upto in self._voids)

    @contextmanager
    def waiting_for_tools(self) -> Iterator[None]:
        """Be patient meanwhile: no reply fails because a tool within its time limit is slow."""
        self.waits_for_tools = True
        try:
            yield
        finally:
            self.waits_for_tools = False

    def give_up(self) -> None:
        """Nothing more of it is wanted.  Idempotent."""
        if self.unfinished is not None:
            self.unfinished.close()
            self.unfinished = None

    def cut(self) -> None:
        """Not a sample more of it may be played, however long its tasks take to end."""
        self._playout.cut()

    def on_frame(self, now: int, *, may_bridge: bool) -> list[str]:
        """Let 20 ms pass; returns the pieces that have begun to be heard.

        Args:
            now: audio time at its end.
            may_bridge: no one else is heard, so that silence is silence.
        """
        begun = self._playout.newly_heard()
        for words in begun:
            self._call.note(events.BotSays(text=words.text, is_filler=words.is_filler))
            if not words.is_filler and self.figures.fillers and self.figures.answered is None:
                self.figures.answered = self._call.audio.meter.await_bot(now)
        if self._released.is_set() and not self._call.line.outlet.is_paused:
            if now >= self._sure_at:
                self.surely_over.set()
            if self._is_busy:
                self._bridging.advance(
                    now,
                    may_talk=may_bridge,
                    is_in_piece=self._is_in_piece,
                    waits_for_tools=self.waits_for_tools,
                )
        return [words.text for words in begun]

    # --- what was heard of it ---

    @property
    def played_ms(self) -> int:
        """How much of it was sent."""
        return self._playout.played_ms

    @property
    def speech_played_ms(self) -> int:
        """How much of the speech was sent that its source has yielded as such."""
        return self._playout.speech_played_ms

    def heard_text(self) -> str:
        """Return the words that the caller has really been sent so far."""
        return self._playout.heard_text()

    @property
    def has_asked(self) -> bool:
        """True once its end was heard, for the most part: what it expects was asked for."""
        return self.is_thought_out and self._playout.is_end_heard(len(self.figures.generated))

    @property
    def asks(self) -> bool:
        """True when it expects an answer, or what was heard of it holds a question."""
        expect = self.outcome.expect
        return (expect is not None and expect.kind != "free") or "?" in self.heard_text()

    def unheard(self) -> tuple[str, ...]:
        """Return the pieces of it that the caller has not heard to their end."""
        return self._playout.unheard(self.figures.generated)


Source = Callable[[Reply], AsyncGenerator[str | Growing | Spoken, None]]
"""Makes the generator of what a reply says: pieces of text for our voice, and speech as it is (s16
at the line's format) with its words; `Spoken(b"", text)` adds words to the speech around it."""
