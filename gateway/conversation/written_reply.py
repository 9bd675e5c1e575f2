"""WrittenReply: a bot turn that a client reads.  The floor, tools and history treat it as any."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from gateway.call.live_call import LiveCall
from gateway.conversation.figures import TurnFigures
from gateway.conversation.growing import Growing
from gateway.conversation.reply import Outcome, Reply, Source
from gateway.conversation.silence_budget import SilenceBudget
from gateway.conversation.voice import Voice
from gateway.errors import ProviderError
from gateway.providers.contracts import Spoken


class WrittenReply(Reply):
    """Thinks as `Reply` does; its pieces go to the observers of the call as they come."""

    def __init__(
        self,
        call: LiveCall,
        voice: Voice,
        source: Source,
        figures: TurnFigures,
        on_first_audio: Callable[[], None],
    ) -> None:
        super().__init__(call, voice, source, figures, on_first_audio)
        self._waiting: list[str] = []
        self._sent: list[str] = []

    async def run(self) -> Outcome:
        """Write it; returns when all of it was sent.  A failed engine is in the outcome."""
        try:
            async with aclosing(self._source(self)) as pieces:
                await self._write(pieces)
            self.is_thought_out = True
        except ProviderError as error:
            self.outcome.error = error
        self._is_busy = False
        await self._released.wait()
        self._send()
        return self.outcome

    async def _write(self, pieces: AsyncGenerator[str | Growing | Spoken, None]) -> None:
        async for piece in pieces:
            text = piece if isinstance(piece, str) else piece.text
            self.figures.generated.append(text)
            self._waiting.append(text)
            if self._released.is_set():
                self._send()

    def release(self, budget: SilenceBudget | None = None, sure_at: int = 0) -> None:
        """Let it be read from now on; nothing bridges its waits."""
        del budget
        super().release(None, sure_at)
        self._send()

    def on_frame(self, now: int, *, may_bridge: bool) -> list[str]:
        """Let 20 ms pass."""
        del may_bridge
        if self._released.is_set() and now >= self._sure_at:
            self.surely_over.set()
        return []

    def take_back(self, kept: int) -> None:
        """Send nothing more of its text behind the first `kept` pieces."""
        super().take_back(kept)
        del self._waiting[max(0, kept - len(self._sent)) :]

    def heard_text(self) -> str:
        """Return what was sent."""
        return " ".join(self._sent)

    def unheard(self) -> tuple[str, ...]:
        """Return the pieces that were not sent."""
        return tuple(self._waiting)

    def _send(self) -> None:
        for text in self._waiting:
            for observer in self._call.observers:
                observer.bot_wrote(text)
        self._sent += self._waiting
        self._waiting.clear()
