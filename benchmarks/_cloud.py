"""Cloud engines with known times: doubles of a recognizer and a voice that answer late on purpose.

The recognizer knows what is said and tells each word once it was heard, everything `RECOGNIZER_MS`
after the audio that it rests on; it finds ends of turns by quiet alone.  The voice sends its first
sound `VOICE_MS` after the first text of a sentence.  Both note when something came and went.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from benchmarks.turns.corpus import Utterance
from tests.support.cartesia_voice import CartesiaVoice
from tests.support.deepgram_listen_double import DeepgramListenDouble, DeepgramListenPeer
from tests.support.faults import Fault
from tests.support.recognizer_double import Ear, RecognizerPeer
from tests.support.voice_double import Part

RECOGNIZER_MS, VOICE_MS = 150.0, 100.0
_LOUD = 500
"""Peak from which the doubles' `Ear` hears something."""
_UPDATE_FRAMES = 12
"""Flux tells what it has heard every 0.25 s, changed or not."""
_NEXT_S = 0.8
"""Quiet between two utterances; none of the recordings pauses for so long."""


class Script:
    """What the caller says, and how much of it was heard, on whatever connection."""

    def __init__(self, utterances: Sequence[Utterance], texts: Sequence[str]) -> None:
        self._lines = [
            (_ends(text.split(), _loud_frames(one)), text.split())
            for one, text in zip(utterances, texts, strict=True)
        ]
        self._at = 0
        self._loud = 0
        self._taken = 0
        self._last_s = 0.0

    def hear(self) -> None:
        """20 ms more of speech."""
        now_s = time.monotonic()
        ends, _ = self._lines[self._at]
        is_next = now_s - self._last_s > _NEXT_S and self._loud > 0.6 * max(ends, default=1)
        if is_next and self._at + 1 < len(self._lines):
            self._at, self._loud, self._taken = self._at + 1, 0, 0
        self._loud, self._last_s = self._loud + 1, now_s

    def known(self, *, is_quiet: bool) -> int:
        """Return how many words of the utterance are over."""
        ends, words = self._lines[self._at]
        if is_quiet and self._loud >= 0.9 * max(ends, default=0):
            return len(words)
        return sum(end <= self._loud for end in ends)

    def text(self, *, is_quiet: bool) -> str:
        """Return the words that no turn of the recognizer has had."""
        return " ".join(self._lines[self._at][1][self._taken : self.known(is_quiet=is_quiet)])

    def finish(self, *, is_quiet: bool) -> str:
        """Return them, and begin another turn."""
        text = self.text(is_quiet=is_quiet)
        self._taken = self.known(is_quiet=is_quiet)
        return text


def _loud_frames(one: Utterance) -> int:
    frames = np.pad(one.clean, (0, -len(one.clean) % 160)).reshape(-1, 160)
    return int((np.abs(frames.astype(np.int32)).max(axis=1) >= _LOUD).sum())


def _ends(words: Sequence[str], loud_frames: int) -> list[float]:
    """Return after how many loud frames each word is over: words are as long as their letters."""
    sizes = np.cumsum([len(word) + 1 for word in words])
    return [float(size / sizes[-1] * loud_frames) for size in sizes]


class _TimedEar(Ear):
    def __init__(self, script: Script) -> None:
        super().__init__(None)
        self._line = script
        self._told = 0
        self._since_told = 0

    @property
    def text(self) -> str:
        return self._line.text(is_quiet=self.quiet_frames > 0)

    def finish(self) -> str:
        self.in_turn = self.was_eager = False
        self._told = 0
        return self._line.finish(is_quiet=self.quiet_frames > 0)

    def _word(self) -> bool:
        self._tone = []
        return False

    def _frame(self, frame: NDArray[np.int64], rate_hz: int) -> Iterator[str]:
        if abs(frame).max() >= _LOUD:
            self._line.hear()
        yield from super()._frame(frame, rate_hz)
        count = len(self.text.split())
        self._since_told += 1
        if self.in_turn and (count != self._told or self._since_told >= _UPDATE_FRAMES):
            self._told, self._since_told = count, 0
            yield "word"


class _FluxPeer(DeepgramListenPeer):
    double: TimedFlux

    def __init__(self, double: TimedFlux, connection: ServerConnection, path: str) -> None:
        super().__init__(double, connection, path)
        self.ear = _TimedEar(double.timed)
        self._sending: asyncio.Task[None] | None = None
        self._late: asyncio.Queue[tuple[float, dict[str, Any]]] = asyncio.Queue()

    async def read(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self.double.came.append((time.monotonic_ns(), frame))
        await super().read(frame)

    async def send_event(self, event: dict[str, Any]) -> None:
        if event["type"] != "TurnInfo":
            await super().send_event(event)
            return
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send())
            self.double.tasks.add(self._sending)
            self._sending.add_done_callback(self.double.tasks.discard)
        due_s = asyncio.get_running_loop().time() + RECOGNIZER_MS / 1000
        self._late.put_nowait((due_s, event))

    async def _send(self) -> None:
        while True:
            due_s, event = await self._late.get()
            await asyncio.sleep(due_s - asyncio.get_running_loop().time())
            try:
                await super().send_event(event)
            except ConnectionClosed:
                return


class TimedFlux(DeepgramListenDouble):
    """Deepgram's Flux: eager after 300 ms of quiet, over after 500 ms."""

    PEER: ClassVar[type[RecognizerPeer]] = _FluxPeer  # type: ignore[assignment]  # of this double

    def __init__(self, utterances: Sequence[Utterance], texts: Sequence[str]) -> None:
        super().__init__()
        self.timed = Script(utterances, texts)
        self.came: list[tuple[int, bytes]] = []
        """(monotonic ns, audio) of each message."""
        self.tasks: set[asyncio.Task[None]] = set()

    async def _converse(self, connection: ServerConnection) -> None:
        try:
            await super()._converse(connection)
        finally:
            for task in self.tasks:
                task.cancel()

    def settings(self) -> dict[str, Any]:
        return {"provider": "deepgram", **super().settings()}


class TimedVoice(CartesiaVoice):
    """Cartesia's Sonic."""

    def __init__(self) -> None:
        super().__init__()
        self.fault, self.slow_s = Fault.SLOW, VOICE_MS / 1000
        self.first_sounds: list[int] = []
        """When the first sound of each sentence was sent, monotonic ns."""
        self.stopped: list[int] = []
        """When it was told to stop a sentence."""

    def chunk(self, part: Part) -> list[str | bytes]:
        if part.at_ms == 0:
            self.first_sounds.append(time.monotonic_ns())
        return super().chunk(part)

    def stop(self, connection: ServerConnection, context: str) -> bool:
        self.stopped.append(time.monotonic_ns())
        return super().stop(connection, context)
