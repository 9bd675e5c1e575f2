"""Vendors of voices on 127.0.0.1: what their doubles share.

A double is a `VoiceDouble` with the vendor's messages.  Every character of a text sounds for 50 ms:
where a word begins is known.
"""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from gateway.audio.format import NARROWBAND, AudioFormat
from tests.support.engine_double import coded
from tests.support.faults import GARBAGE, Fault
from tests.support.vendor_double import VendorDouble, sine

CHARACTER_MS = 50
CHUNK_CHARACTERS = 4
"""200 ms of sound."""
Words = Sequence[tuple[int, str]]
"""(ms from the beginning of the sentence, word) of those that begin in a chunk."""
Key = tuple[int, str]
"""(connection, context) of a sentence."""


@dataclass(frozen=True)
class Part:
    """Some characters of a sentence."""

    key: Key
    text: str
    at_ms: int
    audio: bytes
    words: Words
    starts_ms: list[int]
    """Of each character, within the part."""


class VoiceDouble(VendorDouble):
    """Says what it is told to; set `trouble` and the other switches at any moment."""

    NAME: ClassVar[str]
    MINIMUM: ClassVar[Mapping[str, Any]]
    """Settings without which the provider cannot be made."""
    PATH: ClassVar[str] = ""
    STOPS: ClassVar[bool] = True
    """Its protocol can stop a sentence."""
    REPORTS: ClassVar[bool] = True
    """It reports its words."""
    ONE_SENTENCE: ClassVar[bool] = False
    """It closes the connection behind a sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.form = NARROWBAND
        """That the client has asked for."""
        self.trouble = ""
        """An error instead of speech: quota, rate, voice or key."""
        self.is_mute = False
        """No sound for any text."""
        self.has_words = True
        self.is_late = False
        """What was cut off goes on all the same."""
        self.slow_ms: dict[str, int] = {}
        """Characters that sound for another time than the others."""
        self.pace_s = 0.0
        """Between chunks of 200 ms."""
        self.said: list[str] = []
        """Texts that were to be said."""
        self.chunks = 0
        """How many were sent."""
        self.cuts: list[str] = []
        """Sentences that were stopped."""
        self.problems: list[str] = []
        """What the client has done against the protocol."""
        self._met: list[ServerConnection] = []
        """All connections: what is kept for one is found by its id, which must not be reused."""
        self._texts_of: dict[Key, list[Any]] = {}
        """Text so far, whether it is whole, news of it, its place in `said`."""
        self.speaking: dict[Key, asyncio.Task[None]] = {}

    @property
    def base_url(self) -> str:
        return self.url.removesuffix("/speak") + self.PATH

    def settings(self) -> dict[str, Any]:
        """Return the provider's table."""
        return {"provider": self.NAME, **self.MINIMUM, "base_url": self.base_url}

    # --- the vendor's protocol ---

    @abstractmethod
    async def read(self, connection: ServerConnection, frame: str | bytes) -> None:
        """Accept a frame: raise ValueError when it is not the vendor's protocol."""

    @abstractmethod
    def chunk(self, part: Part) -> list[str | bytes]:
        """Return the messages for 200 ms of sound."""

    @abstractmethod
    def over(self, key: Key) -> list[str | bytes]:
        """Return the messages that end a sentence."""

    def refusal(self, context: str) -> list[str | bytes]:
        """Return the messages of `trouble`."""
        raise NotImplementedError

    async def refuse(self, connection: ServerConnection, context: str) -> None:
        """Send `trouble`."""
        for message in self.refusal(context):
            await connection.send(message)

    # --- what all have ---

    def begin(
        self, connection: ServerConnection, context: str, text: str, *, is_whole: bool = True
    ) -> None:
        """Begin to say a text, of which `go_on` brings more if it is not whole."""
        self.said.append(text)
        key = id(connection), context
        self._texts_of[key] = [text, is_whole, asyncio.Event(), len(self.said) - 1]
        task = self._group[id(connection)].create_task(self._say_it(connection, context))
        self.speaking[key] = task

    def is_saying(self, connection: ServerConnection, context: str) -> bool:
        """Return whether a sentence has begun that is not whole yet."""
        found = self._texts_of.get((id(connection), context))
        return found is not None and not found[1]

    def go_on(
        self, connection: ServerConnection, context: str, text: str, *, is_whole: bool
    ) -> None:
        """Say more of a sentence."""
        entry = self._texts_of[id(connection), context]
        entry[0] += text
        if is_whole:
            entry[0] = entry[0].rstrip()
        entry[1] = is_whole
        self.said[entry[3]] = entry[0]
        entry[2].set()

    def stop(self, connection: ServerConnection, context: str) -> bool:
        """Stop a sentence; True when it was being said."""
        task = self.speaking.pop((id(connection), context), None)
        self._texts_of.pop((id(connection), context), None)
        if task is None or task.done():
            return False
        self.cuts.append(context)
        if not self.is_late:
            task.cancel()
        return True

    async def _converse(self, connection: ServerConnection) -> None:
        self._open.add(connection)
        self._met.append(connection)
        try:
            async with asyncio.TaskGroup() as group:
                self._group[id(connection)] = group
                async for frame in connection:
                    self.received.append(frame)
                    try:
                        await self.read(connection, frame)
                    except (ValueError, KeyError, TypeError) as error:
                        self.problems.append(f"{frame[:200]!r}: {error}")
                for key, task in self.speaking.items():
                    if key[0] == id(connection):
                        task.cancel()
        except (ConnectionClosed, ExceptionGroup):
            pass
        finally:
            self._open.discard(connection)
            self.gone.set()

    async def _say_it(self, connection: ServerConnection, context: str) -> None:
        entry = self._texts_of[id(connection), context]
        try:
            if self.fault is Fault.SLOW:
                await asyncio.sleep(self.slow_s)
            if self.trouble:
                await self.refuse(connection, context)
                return
            at = 0
            while not (entry[1] and (at >= len(entry[0]) or self.is_mute)):
                text = entry[0]
                if self.is_mute or (at + CHUNK_CHARACTERS > len(text) and not entry[1]):
                    entry[2].clear()
                    await entry[2].wait()
                    continue
                if at >= len(text) // 2 and self.fault in {Fault.STALL, Fault.CLOSE, Fault.GARBAGE}:
                    await self._fail(connection)
                    return
                part = self._part((id(connection), context), text, at)
                for message in self.chunk(part):
                    await connection.send(message)
                self.chunks += 1
                at += CHUNK_CHARACTERS
                await asyncio.sleep(self.pace_s)
            for message in self.over((id(connection), context)):
                await connection.send(message)
            if self.ONE_SENTENCE:
                await connection.close()
        except ConnectionClosed:
            pass

    def _part(self, key: Key, text: str, at: int) -> Part:
        begun_ms = self.begins_at_ms(text, at)
        end = min(at + CHUNK_CHARACTERS, len(text))
        words = [
            (self.begins_at_ms(text, index), text[index:].split(maxsplit=1)[0])
            for index in range(at, end)
            if not text[index].isspace() and (index == 0 or text[index - 1].isspace())
        ]
        starts = [self.begins_at_ms(text, index) - begun_ms for index in range(at, end)]
        audio = tone(self.begins_at_ms(text, end) - begun_ms, self.form, begun_ms)
        return Part(key, text[at:end], begun_ms, audio, words if self.has_words else (), starts)

    def begins_at_ms(self, text: str, index: int) -> int:
        """Return where in its sound a character of a text begins."""
        before = text[:index]
        others = sum(before.count(slow) * (ms - CHARACTER_MS) for slow, ms in self.slow_ms.items())
        return len(before) * CHARACTER_MS + others

    async def _fail(self, connection: ServerConnection) -> None:
        if self.fault is Fault.CLOSE:
            await connection.close(*self.close_with)
        elif self.fault is Fault.GARBAGE:
            await connection.send(GARBAGE.decode(errors="replace"))
        else:
            await connection.wait_closed()

    @property
    def _group(self) -> dict[int, asyncio.TaskGroup]:
        groups: dict[int, asyncio.TaskGroup] = self.__dict__.setdefault("groups", {})
        return groups


def tone(ms: int, form: AudioFormat, from_ms: int = 0) -> bytes:
    """Return 440 Hz at -20 dBFS, in a format."""
    rate = form.sample_rate_hz
    first, count = rate * from_ms // 1000, rate * ms // 1000
    return coded(sine(rate, first, count), form)


def dumped(**fields: object) -> str:
    return json.dumps(fields)


REFUSALS = {
    "quota": (HTTPStatus.PAYMENT_REQUIRED, "quota_exceeded", "You have no credits left."),
    "rate": (HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", "Too many concurrent requests."),
    "voice": (HTTPStatus.NOT_FOUND, "voice_not_found", "No such voice: anna."),
    "key": (HTTPStatus.UNAUTHORIZED, "invalid_api_key", "Unknown key sk-secret+key/1."),
}
"""Status, code and words of each trouble."""
