"""Offline speech by pyttsx3, which wraps the speech engine of the operating system.

pyttsx3 lives in a child process: a second thread that uses it ends the whole process, it blocks,
and it has one callback per process.  The child renders one sentence at a time and is started again
when it dies.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import struct
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from ctypes.util import find_library
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway.audio.converter import convert_once
from gateway.audio.format import AudioFormat
from gateway.errors import (
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.installing import pip_install
from gateway.providers.contracts import Delivery, ProviderSettings, Spoken, TextToSpeech

SUMMARY = "Offline speech by pyttsx3 (the operating system's engine), in a child process."

_PIP_HINT = f"pyttsx3 is not installed: {pip_install('pyttsx3')}"
_APT_HINT = "pyttsx3 finds no speech engine: apt-get install libespeak-ng1"
_CHILD = Path(__file__).with_name("_pyttsx3_child.py")
_LEAVE_TIMEOUT_S = 2.0
_FAILED = 0


class Settings(ProviderSettings):
    """`tts = { provider = "pyttsx3", ... }`."""

    voice: str = ""
    """As pyttsx3 names it, for example `en-us` on Linux; empty = the engine's default."""
    words_per_minute: Annotated[int, Field(ge=80, le=450)] = 165
    level_dbfs: Annotated[float, Field(ge=-40.0, le=-10.0)] = -20.0
    """Level of the spoken parts."""
    timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """To render one sentence, and to start."""
    cache_bytes: Annotated[int, Field(ge=0)] = 16_000_000
    """Rendered sentences kept; 16 MB are a thousand seconds."""


class Pyttsx3:
    """Satisfies `TextToSpeech`."""

    output_format = AudioFormat(22_050)
    """Of the engine on Linux; others are converted."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.delivery = Delivery(
            level_dbfs=settings.level_dbfs, has_whole_pieces=True, cache_bytes=settings.cache_bytes
        )
        self._child: _Child | None = None
        self._turn = asyncio.Lock()

    async def warm_up(self) -> None:
        """Start the child and speak once.  Raises ProviderUnavailable."""
        async for _ in self.speak("Ready."):
            pass

    async def speak(self, text: str) -> AsyncIterator[Spoken]:
        """Yield the whole sentence in one piece; cancelled, its result is dropped."""
        if not text.strip():  # pyttsx3 would wait for the end of nothing, for ever
            return
        pcm = await self._spoken(text)
        if not any(pcm) and any(map(str.isalnum, text)):
            # espeak now and then reports the end of a sentence before it has begun.
            pcm = await self._spoken(text)
        if pcm:
            yield Spoken(pcm)

    async def close(self) -> None:
        """End the child."""
        await self._end_child(grace_s=_LEAVE_TIMEOUT_S)

    async def _spoken(self, text: str) -> bytes:
        async with self._turn:
            rate_hz, pcm = await self._rendered(text)
        if rate_hz == self.output_format.sample_rate_hz:
            return pcm
        return convert_once(pcm, AudioFormat(rate_hz), self.output_format)

    async def _rendered(self, text: str) -> tuple[int, bytes]:
        """Ask the child; one that had died in the meantime is replaced."""
        was_running = self._child is not None
        try:
            return await self._asked(text)
        except ProviderUnavailable:
            if not was_running:
                raise
            return await self._asked(text)

    async def _asked(self, text: str) -> tuple[int, bytes]:
        timeout_s = self._settings.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                if self._child is None:
                    self._child = await _Child.start(self._settings)
                return await self._child.render(text)
        except TimeoutError as error:
            await self._end_child(grace_s=0.0)
            problem = f"no speech within {timeout_s:g} s"
            raise ProviderTimeout("pyttsx3", problem) from error
        except ProviderUnavailable:
            await self._end_child(grace_s=0.0)
            raise
        except (OSError, EOFError) as error:
            await self._end_child(grace_s=0.0)
            raise ProviderUnavailable("pyttsx3", "its process ended") from error

    async def _end_child(self, *, grace_s: float) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end(grace_s=grace_s)


class _Child:
    """The process and its pipes.  Replies come in the order of requests."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert process.stdout is not None  # noqa: S101
        self._process = process
        self._requests = process.stdin
        self._replies = process.stdout
        self._header = b""
        """Of a reply whose body has not come yet: reading may be cancelled between the two."""
        self._owed = 1
        """Replies still to come; the first is "ready", those of cancelled requests are dropped."""
        self._is_ready = False

    @classmethod
    async def start(cls, settings: Settings) -> _Child:
        """Start the process; `-P` keeps this folder's pyttsx3.py out of its way."""
        told = settings.model_dump_json(include={"voice", "words_per_minute"})
        command = (sys.executable, "-P", str(_CHILD), told)
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
            )
        )

    async def render(self, text: str) -> tuple[int, bytes]:
        """Return the sample rate in Hz and mono s16le of `text`; safe to cancel anywhere.

        Raises:
            ProviderUnavailable: it has no speech engine.
            ProviderProtocolError: it could not speak this text.
            OSError, EOFError: it is dead.
        """
        self._requests.write(json.dumps(text).encode() + b"\n")
        self._owed += 1
        await self._requests.drain()
        while self._owed > 1:
            await self._reply()
        rate_hz, body = await self._reply()
        if rate_hz == _FAILED:
            raise ProviderProtocolError("pyttsx3", body.decode(errors="replace"))
        return rate_hz, body

    async def end(self, *, grace_s: float) -> None:
        """Let the process leave by itself, or kill it after `grace_s` seconds."""
        self._requests.close()
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _reply(self) -> tuple[int, bytes]:
        self._header = self._header or await self._replies.readexactly(8)
        rate_hz, length = struct.unpack(">II", self._header)
        body = await self._replies.readexactly(length)
        self._header = b""
        self._owed -= 1
        if not self._is_ready and rate_hz == _FAILED:
            problem = body.decode(errors="replace")
            raise ProviderUnavailable("pyttsx3", f"cannot start: {problem} ({_APT_HINT})")
        self._is_ready = True
        return rate_hz, body


def create(settings: Settings) -> TextToSpeech:
    """Make the synthesizer; the child is started by `warm_up` or the first sentence."""
    return Pyttsx3(settings)


def probe() -> str:
    """Return what is missing here, "" when it can be used."""
    if importlib.util.find_spec("pyttsx3") is None:
        return _PIP_HINT
    if sys.platform == "linux" and not (find_library("espeak-ng") or find_library("espeak")):
        return _APT_HINT
    return ""
