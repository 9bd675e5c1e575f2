"""Sentence: one sentence, spoken by whichever voice behind a router can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderError, ProviderProtocolError, ProviderTimeout
from gateway.providers.contracts import Spoken, TextToSpeech
from gateway.routed.attempt import Attempt, Attempts
from gateway.routed.route import Route
from gateway.routing.hedge import Hedge
from gateway.routing.joint import SpeakingRate, unspoken

Rest = asyncio.Future[str] | None


@dataclass
class _Progress:
    """How far one voice has come."""

    spoken_ms: float = 0.0
    marks: list[tuple[float, str]] = field(default_factory=list)


class Sentence:
    """Until its first sound any voice may speak it; then the next goes on with the next word."""

    def __init__(
        self,
        route: Route[TextToSpeech],
        paces: Mapping[str, SpeakingRate],
        output_format: AudioFormat,
        speak: Callable[[str, str, Rest], AsyncGenerator[Spoken, None]],
    ) -> None:
        """Prepare.

        Args:
            route: of the call.
            paces: of the voices, which are learned.
            output_format: of what `speak` yields.
            speak: (voice, text, rest of it) -> its finished speech.
        """
        self._route = route
        self._paces = paces
        self._format = output_format
        self._speak = speak

    async def said(
        self, text: str, rest: Rest, order: tuple[str, ...]
    ) -> AsyncGenerator[Spoken, None]:
        """Yield the speech.  Raises ProviderError: no voice could give it.

        Args:
            text: of the sentence.
            rest: what follows the text, still being written.
            order: of the voices.
        """
        before_ms = 0.0
        while True:
            progress, hedge = _Progress(), Hedge(self._hedge_s, order)
            async with Attempts[Spoken]() as attempts:
                await self._first_sound(hedge, attempts, text, rest)
                name = hedge.winner
                async with aclosing(self._sound(name, attempts, progress, before_ms)) as pieces:
                    async for piece in pieces:
                        yield piece
                error = attempts.error_of(name)
            whole = text if rest is None else f"{text} {await asyncio.shield(rest)}"
            self._route.spoke(name, len(whole), progress.spoken_ms / 1000)
            if error is None:
                self._route.worked(name)
                if not progress.marks:
                    self._paces[name].learn(whole, progress.spoken_ms)
                return
            self._route.failed(name, error)
            order = order[order.index(name) + 1 :]
            ms_per_letter = self._paces[name].ms_per_letter
            text = unspoken(whole, progress.spoken_ms, progress.marks, ms_per_letter)
            rest, before_ms = None, before_ms + progress.spoken_ms
            if text and not order:
                raise error
            if order:
                self._route.switched(name, order[0], error)
            if not text:
                return

    async def _sound(
        self, name: str, attempts: Attempts[Spoken], progress: _Progress, before_ms: float
    ) -> AsyncGenerator[Spoken, None]:
        """Yield what comes of the voice that is heard, until its end or failure."""
        try:
            while True:
                for piece in self._taken(attempts[name], progress, before_ms):
                    yield piece
                if attempts[name].is_over and not attempts[name].items:
                    return
                await attempts.wait(None)
        except (GeneratorExit, asyncio.CancelledError):
            self._route.worked(name)  # the caller wants no more of it
            raise

    @property
    def _hedge_s(self) -> float:
        return self._route.router.config.hedge_after_ms / 1000

    async def _first_sound(
        self, hedge: Hedge, attempts: Attempts[Spoken], text: str, rest: Rest
    ) -> None:
        """Ask one voice after the other until one is heard.  Raises ProviderError: none is."""
        self._begin(hedge.ask(_now()), attempts, text, rest)
        try:
            while True:
                if not await attempts.wait(hedge.due_at()):
                    self._begin(hedge.ask(_now()), attempts, text, rest)
                    continue
                for name in tuple(hedge.asked):
                    attempt = attempts[name]
                    if any(piece.pcm for piece in attempt.items):
                        await self._won(name, hedge, attempts)
                        return
                    if not attempt.is_over:
                        continue
                    error = attempts.error_of(name)
                    if error is None and not hedge.has_more and len(hedge.asked) == 1:
                        hedge.spoke(name)  # there may be nothing in it that has a sound
                        return
                    error = error or ProviderProtocolError(name, "gave no sound")
                    await self._lost(name, error, hedge, attempts, text, rest)
        except BaseException:
            for name in hedge.asked:
                self._route.abandoned(name)
            raise

    async def _won(self, name: str, hedge: Hedge, attempts: Attempts[Spoken]) -> None:
        was_first = hedge.asked[0] == name
        for loser in hedge.spoke(name):
            await attempts.drop(loser)
            if was_first:
                self._route.abandoned(loser)
            else:
                late = ProviderTimeout(loser, f"was silent for {self._hedge_s:g} s")
                self._route.overtaken(loser, late)

    async def _lost(
        self,
        name: str,
        error: ProviderError,
        hedge: Hedge,
        attempts: Attempts[Spoken],
        text: str,
        rest: Rest,
    ) -> None:
        await attempts.drop(name)
        self._route.failed(name, error)
        following = hedge.failed(name, _now())
        if following:
            self._begin(following, attempts, text, rest)
        elif not hedge.asked:
            raise error
        self._route.switched(name, following or hedge.asked[0], error)

    def _begin(self, name: str, attempts: Attempts[Spoken], text: str, rest: Rest) -> None:
        self._route.asks(name)
        attempts.begin(name, self._speak(name, text, rest))

    def _taken(
        self, attempt: Attempt[Spoken], progress: _Progress, before_ms: float
    ) -> list[Spoken]:
        """Take what has come of a voice, with its words at their places in the whole."""
        taken: list[Spoken] = []
        while attempt.items:
            piece = attempt.items.popleft()
            at_ms = progress.spoken_ms if piece.at_ms is None else piece.at_ms
            if piece.text:
                progress.marks.append((at_ms, piece.text))
                piece = replace(piece, at_ms=round(before_ms + at_ms))
            progress.spoken_ms += self._format.seconds(piece.pcm) * 1000
            taken.append(piece)
        return taken


def _now() -> float:
    return asyncio.get_running_loop().time()
