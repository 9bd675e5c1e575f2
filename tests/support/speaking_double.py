"""What an engine does by itself in a call: it hears speech, answers it, and stops for the caller.

An `EngineDouble` with a `Script` gives each of its peers a `Partner`.  What is said and when is the
same for all engines; the frames are those of the `Peer`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from websockets.exceptions import ConnectionClosed

from gateway.audio.converter import Converter
from gateway.audio.format import AudioFormat

if TYPE_CHECKING:
    from tests.support.engine_double import Peer

SLICE_MS = 20
LOUD_PEAK = 1000
BEGIN_MS = 60
"""Of loud audio: speech has begun."""
END_MS = 400
"""Of quiet audio: speech has ended."""
LETTER_MS = 70
"""Of sound for each letter, spaces included: as fast as people speak."""
_STREAM_MS = 100
"""Of sound in each message of an engine that sends all the time."""


@dataclass(frozen=True, slots=True)
class Saying:
    """One reply: words, perhaps a function call behind them and what is said to its result."""

    text: str = ""
    tool: str = ""
    arguments: str = "{}"
    then: str = ""
    """Said with the result; `{NAME}` is a field of it.  Empty = nothing is said to it."""


@dataclass(frozen=True, slots=True)
class Script:
    """What is heard and said in every conversation with a double."""

    greeting: str = ""
    """What the client must ask for, if it lets the engine greet."""
    turns: Sequence[tuple[str, Saying]] = ()
    """What the caller is understood to say, and the answer; the last one serves for all others."""
    told: Mapping[str, Saying] = field(default_factory=dict)
    """Part of a text that is told in mid-call -> the answer to it."""
    latency_s: float = 0.1
    """From the end of speech, or from being asked, to the first of a reply."""
    pace: float = 0.0
    """Seconds of sound that are sent in a second; 0 = at once."""
    piece_ms: int = 100
    """Of sound in one message."""


class Mark(NamedTuple):
    """Something that happened, by the monotonic clock."""

    what: str
    """`caller begins`, `last loud` (the caller's last loud sample came), `caller ends`, `first
    sound` (is sent), `stopped`."""
    at_ns: int


class SpeechDetector:
    """Finds speech by its level.  Pure."""

    def __init__(self, form: AudioFormat) -> None:
        self._decoder = Converter(form, AudioFormat(form.sample_rate_hz))
        self._slice = form.sample_rate_hz * SLICE_MS // 1000
        self._rest = np.empty(0, np.int32)
        self._position_ms = 0
        self._loud_ms = 0
        self._quiet_ms = 0
        self.is_speech = False

    def push(self, audio: bytes) -> Iterator[tuple[bool, int]]:
        """Accept audio of any length; yield (begins or ends, position in ms) of each change."""
        pcm = np.frombuffer(self._decoder.process(audio), "<i2").astype(np.int32)
        self._rest = np.concatenate([self._rest, pcm])
        while len(self._rest) >= self._slice:
            part, self._rest = self._rest[: self._slice], self._rest[self._slice :]
            self._position_ms += SLICE_MS
            is_loud = int(np.abs(part).max()) >= LOUD_PEAK
            self._loud_ms = self._loud_ms + SLICE_MS if is_loud else 0
            self._quiet_ms = 0 if is_loud else self._quiet_ms + SLICE_MS
            if not self.is_speech and self._loud_ms >= BEGIN_MS:
                self.is_speech = True
                yield True, self._position_ms - self._loud_ms
            elif self.is_speech and self._quiet_ms >= END_MS:
                self.is_speech = False
                yield False, self._position_ms - self._quiet_ms


class Partner:
    """The conduct of one session.  Entered for as long as its connection lasts."""

    def __init__(self, peer: Peer, script: Script) -> None:
        self.peer = peer
        self.script = script
        self.marks: list[Mark] = []
        self._detector: SpeechDetector | None = None
        self._heard = self._asked = self._commits = self._results = 0
        self._loud_ns = 0
        """When the caller's latest loud sample came."""
        self._is_greeted = False
        self._turn = 0
        self._replies = 0
        self._reply_id = ""
        """Of what is being said; empty = it is silent."""
        self._waits: Saying | None = None
        """Asked for a function whose result is to be answered."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._speaking: asyncio.Task[None] | None = None
        self._stream: asyncio.Task[None] | None = None
        self._to_stream = bytearray()
        self._is_streamed = asyncio.Event()

    async def __aenter__(self) -> Partner:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def is_speaking(self) -> bool:
        return self._speaking is not None and not self._speaking.done()

    async def follow(self) -> None:
        """React to what the client has just sent."""
        peer = self.peer
        if not peer.is_ready:
            return
        if peer.double.ABILITIES.is_full_duplex and self._stream is None:
            self._stream = self._task(self._flow())
        if peer.greeting and not self._is_greeted:
            self._is_greeted, self._asked = True, peer.answers_asked
            if not self.script.greeting or self.script.greeting not in peer.greeting:
                peer.refuse(f"the greeting was to be {self.script.greeting!r}: {peer.greeting!r}")
            self._begin(Saying(self.script.greeting))
        await self._listen()
        self._obey()

    async def _listen(self) -> None:
        peer = self.peer
        if self._detector is None:
            self._detector = SpeechDetector(peer.input_format)
        new = bytes(peer.heard[self._heard :])
        self._heard += len(new)
        self._note_loud(new)
        for begins, at_ms in self._detector.push(new):
            if not begins:
                self.marks.append(Mark("last loud", self._loud_ns))
            self._mark("caller begins" if begins else "caller ends")
            if not peer.detects_turns():
                continue
            if begins:
                await peer.caller_starts(at_ms)
                await self.stop()
            else:
                await peer.caller_ends(at_ms)
                self._answer_turn()

    def _note_loud(self, audio: bytes) -> None:
        form = self.peer.input_format
        pcm = np.frombuffer(Converter(form, AudioFormat(form.sample_rate_hz)).process(audio), "<i2")
        loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) >= LOUD_PEAK)
        if len(loud):
            self._loud_ns = (
                time.monotonic_ns() + int(loud[-1]) * 1_000_000_000 // form.sample_rate_hz
            )

    def _answer_turn(self) -> None:
        text, saying = self.script.turns[min(self._turn, len(self.script.turns) - 1)]
        self._turn += 1
        self._begin(saying, text)

    def _obey(self) -> None:
        """Answer what the client asks for: results, committed turns, told texts."""
        peer = self.peer
        has_result = len(peer.results) > self._results
        is_asked, is_committed = peer.answers_asked > self._asked, peer.commits > self._commits
        if is_asked or (has_result and peer.GOES_ON_WITH_RESULTS):
            self._asked, self._commits = peer.answers_asked, peer.commits
            self._results = len(peer.results)
            waits, self._waits = self._waits, None
            if is_committed:
                self._answer_turn()
            elif waits is not None and has_result:
                result = peer.results[-1][1]
                found = json.loads(result) if "{" in waits.then else {}
                self._begin(Saying(waits.then.format(**found)))
            elif is_asked:
                self._answer_told()

    def _answer_told(self) -> None:
        told = self.peer.told[-1][1] if self.peer.told else ""
        for part, saying in self.script.told.items():
            if part in told:
                self._begin(saying)
                return
        self.peer.refuse(f"the script has no answer to {told!r}")

    async def stop(self) -> None:
        """Say no more of the reply in progress."""
        self._to_stream.clear()
        self._is_streamed.set()
        if not self.is_speaking or self._speaking is asyncio.current_task():
            return
        assert self._speaking is not None
        self._speaking.cancel()
        await asyncio.wait({self._speaking})
        reply_id, self._reply_id = self._reply_id, ""
        if reply_id:
            self._mark("stopped")
            await self.peer.stopped(reply_id)
            await self.peer.linger(reply_id)

    # --- speech ----------------------------------------------------------------------------------

    def _begin(self, saying: Saying, heard: str = "") -> None:
        before, self._speaking = self._speaking, None
        if before is not None:
            before.cancel()
        self._speaking = self._task(self._say(saying, heard))

    async def _say(self, saying: Saying, heard: str) -> None:
        peer, script = self.peer, self.script
        await asyncio.sleep(script.latency_s)
        if heard:
            await peer.caller_says(heard, is_final=True)
        self._replies += 1
        reply_id = self._reply_id = f"r{self._replies}"
        await peer.begin(reply_id)
        parts = _PARTS[peer.TELLS_BY](saying.text)
        for number, words in enumerate(parts):
            if number == len(parts) // 2 and await peer.misbehaves(reply_id):
                return
            is_apart = number == 0 and self._stream is not None and self._replies > 1
            sound = peer.tone(length_ms(words) / 1000)
            await peer.words(reply_id, f" {words}" if is_apart else words)
            if number == 0:
                self._mark("first sound")
            await self._sound(reply_id, sound)
        if saying.tool:
            self._waits = saying if saying.then else None
            self._results = len(peer.results)
            await peer.ask(reply_id, f"c{self._replies}", saying.tool, saying.arguments)
        await peer.finish(reply_id)
        self._reply_id = ""

    async def _sound(self, reply_id: str, audio: bytes) -> None:
        peer, script = self.peer, self.script
        if self._stream is not None:
            self._to_stream += audio
            self._is_streamed.clear()
            await self._is_streamed.wait()
            return
        form = peer.output_format
        step = form.sample_bytes * form.sample_rate_hz * script.piece_ms // 1000
        for at in range(0, len(audio), step):
            piece = audio[at : at + step]
            await peer.sound(reply_id, piece)
            if script.pace:
                await asyncio.sleep(form.seconds(piece) / script.pace)

    async def _flow(self) -> None:
        """Send sound all the time, silence included, as engines without turns do."""
        form = self.peer.output_format
        step = form.sample_bytes * form.sample_rate_hz * _STREAM_MS // 1000
        silence = {"s16": b"\0", "pcmu": b"\xff", "pcma": b"\xd5"}[form.encoding] * step
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        number = 0
        while True:
            piece = bytes(self._to_stream[:step])
            del self._to_stream[:step]
            await self.peer.sound("", piece + silence[len(piece) :])
            if not self._to_stream:
                self._is_streamed.set()
            number += 1
            await asyncio.sleep(max(0.0, began_s + number * _STREAM_MS / 1000 - loop.time()))

    def _mark(self, what: str) -> None:
        self.marks.append(Mark(what, time.monotonic_ns()))

    def _task(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            with suppress(ConnectionClosed):
                await work
        except Exception as problem:
            self.peer.refuse(f"{type(problem).__name__}: {problem}")
            raise


def length_ms(text: str) -> int:
    """Return how long the sound of words is."""
    return len(text) * LETTER_MS


def _words(text: str) -> list[str]:
    return [f" {word}" if number else word for number, word in enumerate(text.split())]


def _sentences(text: str) -> list[str]:
    return [f"{part.rstrip('.')}." for part in text.split(". ") if part]


_PARTS: Mapping[str, Callable[[str], list[str]]] = {
    "words": _words,
    "sentences": _sentences,
    "replies": lambda text: [text] if text else [],
}
