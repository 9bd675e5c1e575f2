"""Moonshine tiny-en, offline, in the recognizer process that all workers share.

A caller turn is decoded again from its start for each partial and for the final; the requests
are stateless, so a recognizer that dies costs one turn.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from gateway.audio.format import NARROWBAND, SAMPLE_BYTES, WIDEBAND, AudioFormat
from gateway.errors import ProviderError, ProviderUnavailable
from gateway.providers.contracts import (
    Expect,
    ExpectKind,
    Helper,
    HelperProcess,
    ProviderSettings,
    SpeechToText,
    Transcript,
)
from gateway.recognizer import smart_turn
from gateway.recognizer.client import RecognizerClient, RecognizerStream, Reply
from gateway.recognizer.grammar import GrammarName
from gateway.recognizer.moonshine import model_folder
from gateway.recognizer.process import RecognizerProcess
from gateway.recognizer.protocol import MAX_SEGMENT_S, EndOfTurnScore, Refused

SUMMARY = "Moonshine tiny-en, offline English; runs in the shared recognizer process"
SOCKET_VARIABLE = "GATEWAY_RECOGNIZER_SOCKET"

_PHANTOMS = frozenset({"", "you", "thank you", "thanks", "thank you very much", "bye"})
"""What the model writes for coughs, clicks and music."""
_PHANTOM_LOG_PROB = -0.6
_PHANTOM_SPEECH_MS = 300
_CAPTION_MARKS = "\u266a\u266b\u00a9"
"""Notes and copyright signs: from the captions that the model was taught on, never spoken."""
_INVENTED_LOG_PROB = -1.1
"""Whole sentences below this are made up; a single word may be a badly heard digit."""

_GRAMMARS: dict[ExpectKind, GrammarName] = {
    "digits": "digits",
    "phone_number": "digits",
    "spelling": "letters",
}
"""What is dictated in answer to a question."""
_STARTS_WITHIN_S = 90.0
"""Time limit for the shared recognizer, which starts beside the workers; when it does not start at
all, the supervisor says so before."""


class Settings(ProviderSettings):
    """`stt = { provider = "moonshine", ... }`."""

    socket: str = ""
    """Unix socket of a running recognizer; empty = environment, else an own process."""
    partial_ms: Annotated[int, Field(ge=100)] = 500
    """New audio after which a partial transcript is asked for."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    """How long a caller turn waits for a recognizer that is just starting again."""


def helper(settings: Settings) -> Helper | None:
    """The shared recognizer, unless one that runs elsewhere is named."""
    return None if settings.socket else _HELPER


def optional_parts() -> Mapping[str, str]:
    """What makes it better: names, and what is missing for each ("" = nothing)."""
    try:
        smart_turn.model_file()
    except ProviderUnavailable as error:
        return {"end of turn by sound (smart-turn)": error.problem}
    return {"end of turn by sound (smart-turn)": ""}


def languages(_settings: Settings) -> tuple[str, ...]:
    """English only."""
    return ("en",)


def probe() -> str:
    """Return "" when usable, else what to do."""
    try:
        model_folder()
    except ProviderUnavailable as exc:
        return exc.problem
    return ""


def create(settings: Settings) -> SpeechToText:
    """Build the provider; nothing is loaded before `warm_up`."""
    return Moonshine(_Connection(settings))


class Moonshine:
    """Satisfies `contracts.SpeechToText`."""

    def __init__(self, connection: _Connection, input_format: AudioFormat = NARROWBAND) -> None:
        """Use a connection, which the same provider in another band may use, too."""
        self.input_format = input_format
        self._connection = connection

    def for_line(self, line_format: AudioFormat) -> Moonshine:
        """Return it in the band of a line; the model's own is `WIDEBAND`."""
        is_wide = line_format.sample_rate_hz >= WIDEBAND.sample_rate_hz
        return Moonshine(self._connection, WIDEBAND) if is_wide else self

    async def warm_up(self) -> None:
        """Reach the recognizer, or start an own one.  Raises ProviderUnavailable."""
        await self._connection.client()

    @asynccontextmanager
    async def stream(self, expect: Expect) -> AsyncIterator[MoonshineStream]:
        """Open recognition of one caller turn.  Raises ProviderUnavailable."""
        client, settings = await self._connection.client(), self._connection.settings
        open_requests = partial(client.open_stream, settings.connect_timeout_s)
        stream = MoonshineStream(
            await open_requests(), expect, settings.partial_ms, open_requests, self.input_format
        )
        try:
            yield stream
        finally:
            stream.close()

    async def close(self) -> None:
        """Disconnect and stop the own process, if any."""
        await self._connection.close()


class _Connection:
    """The shared recognizer's client, and the process where it is an own one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client: RecognizerClient | None = None
        self._owned = AsyncExitStack()
        self._starting = asyncio.Lock()

    async def client(self) -> RecognizerClient:
        """Return the client, made at the first call.  Raises ProviderUnavailable."""
        async with self._starting:
            if self._client is None:
                try:
                    self._client = await self._reach()
                except BaseException:
                    await self._owned.aclose()
                    raise
            return self._client

    async def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        await self._owned.aclose()

    async def _reach(self) -> RecognizerClient:
        limit_s = self.settings.connect_timeout_s
        if self.settings.socket:
            socket = Path(self.settings.socket)
        elif shared := os.environ.get(SOCKET_VARIABLE, ""):
            socket, limit_s = Path(shared), _STARTS_WITHIN_S
        else:
            model_folder()
            process = await self._owned.enter_async_context(RecognizerProcess())
            socket = process.socket
        client = RecognizerClient(socket)
        (await client.open_stream(limit_s)).close()
        return client


@dataclass(slots=True)
class _Request:
    pcm: bytes
    covered: int
    """Samples of the turn that it covers."""
    final: bool
    transcript: Transcript | None = None
    end_of_turn: float | None = None


_REOPENINGS = 3
_REOPEN_AFTER_S = 0.1
"""A process that is being killed still accepts connections for a moment."""


class MoonshineStream:
    """Satisfies `contracts.SttStream`.  Lives on the loop; nothing but iteration waits."""

    def __init__(
        self,
        requests: RecognizerStream,
        expect: Expect,
        partial_ms: int,
        reopen: Callable[[], Awaitable[RecognizerStream]],
        audio_format: AudioFormat,
    ) -> None:
        self._requests = requests
        self._reopen = reopen
        self._reopenings = 0
        self._is_final_wanted = False
        self._choices = expect.choices
        self._grammar = _GRAMMARS.get(expect.kind)
        self._format = audio_format
        self._partial_samples = partial_ms * audio_format.sample_rate_hz // 1000
        self._longest_bytes = MAX_SEGMENT_S * audio_format.sample_rate_hz * SAMPLE_BYTES
        self._pcm = bytearray()
        self._asked_samples = 0
        self._partial_in_flight = False
        self._results: deque[Transcript | ProviderError] = deque()
        self._awake = asyncio.Event()
        self._is_closed = False

    def push(self, pcm: bytes) -> None:
        """Accept caller audio in the provider's `input_format`, any even length."""
        if self._is_closed:
            return
        self._pcm += pcm
        new_samples = self._samples - self._asked_samples
        if new_samples >= self._partial_samples and not self._partial_in_flight:
            self._partial_in_flight = True
            self._ask(final=False)

    def request_transcript(self, among: Sequence[str] = ()) -> None:
        """Ask for a transcript of all audio so far; partials give way to it."""
        if not self._is_closed:
            self._is_final_wanted = True
            self._ask(final=True, among=among)

    def caller_goes_on(self) -> None:
        """Withdraw the request, unless the recognizer has begun with it."""
        if not self._is_closed:
            self._is_final_wanted = False
            self._requests.goes_on()

    async def __aiter__(self) -> AsyncIterator[Transcript]:
        """Yield transcripts until the stream is closed.

        The audio of the turn is still here when the recognizer dies: its successor is asked for
        all of it, a few times at most.

        Raises:
            ProviderUnavailable: there is none.
        """
        while True:
            while self._results:
                result = self._results.popleft()
                if isinstance(result, ProviderError):
                    await self._ask_again(result)
                else:
                    yield result
            if self._is_closed:
                return
            self._awake.clear()
            await self._awake.wait()

    def close(self) -> None:
        """Withdraw what is still asked for and end the iteration."""
        self._is_closed = True
        self._requests.close()
        self._awake.set()

    async def _ask_again(self, error: ProviderError) -> None:
        if self._reopenings >= _REOPENINGS or not isinstance(error, ProviderUnavailable):
            raise error
        self._reopenings += 1
        self._requests.close()
        await asyncio.sleep(_REOPEN_AFTER_S)
        self._requests = await self._reopen()
        self._results.clear()
        self._partial_in_flight = False
        if self._is_final_wanted:
            self._ask(final=True)

    @property
    def _samples(self) -> int:
        return len(self._pcm) // SAMPLE_BYTES

    def _ask(self, *, final: bool, among: Sequence[str] = ()) -> None:
        """Send the whole turn (its last minute, if longer)."""
        covered = self._asked_samples = self._samples
        pcm = bytes(self._pcm[-self._longest_bytes :])

        request = _Request(pcm, covered, final)

        def take(reply: Reply) -> None:
            self._take(reply, request)

        choices = (self._choices or tuple(among)) if final else ()
        grammar = self._grammar if final else None
        self._requests.decode(
            pcm,
            take,
            final=final,
            choices=choices,
            grammar=grammar,
            rate_hz=self._format.sample_rate_hz,
        )

    def _take(self, reply: Reply, request: _Request) -> None:
        if isinstance(reply, EndOfTurnScore):
            self._take_score(reply, request)
            return
        final = request.final
        if not final:
            self._partial_in_flight = False
        if isinstance(reply, Refused):
            if not final or reply.reason == "replaced":
                return  # skipped under load: the next one covers more
            self._give(ProviderUnavailable("moonshine", f"the recognizer is {reply.reason}"))
        elif isinstance(reply, ProviderError):
            self._give(reply)
        else:
            if final:
                self._is_final_wanted = False
            is_phantom = looks_phantom(reply.text, reply.log_prob, request.pcm, self._format)
            text = "" if is_phantom and reply.choice is None else reply.text
            request.transcript = Transcript(
                text, request.covered, final, reply.log_prob, reply.choice, request.end_of_turn
            )
            self._give(request.transcript)

    def _take_score(self, score: EndOfTurnScore, request: _Request) -> None:
        """Repeat the transcript with the score of its sound, or keep that until it is there."""
        request.end_of_turn = score.end_of_turn
        if request.transcript is not None:
            self._give(replace(request.transcript, end_of_turn=score.end_of_turn))

    def _give(self, result: Transcript | ProviderError) -> None:
        self._results.append(result)
        self._awake.set()


def looks_phantom(
    text: str, log_prob: float | None, pcm: bytes, audio_format: AudioFormat = NARROWBAND
) -> bool:
    """Return whether the text is what the model writes where there was no speech.

    Args:
        text: transcript as the model wrote it.
        log_prob: mean log-probability per token (speech: p5 -0.42; noise mostly below -0.7).
        pcm: the audio.
        audio_format: of it.
    """
    words = "".join(c for c in text.lower() if c.isalpha() or c == " ").split()
    if any(mark in text for mark in _CAPTION_MARKS):
        return True
    if not words:
        return not any(c.isdigit() for c in text)
    if len(words) >= 3 and (log_prob or 0.0) < _INVENTED_LOG_PROB:
        return True
    if " ".join(words) not in _PHANTOMS:
        return False
    return (log_prob or 0.0) < _PHANTOM_LOG_PROB or loud_ms(pcm, audio_format) < _PHANTOM_SPEECH_MS


def loud_ms(pcm: bytes, audio_format: AudioFormat = NARROWBAND) -> int:
    """How much of the audio is within 20 dB of its loudest 20 ms, in ms."""
    whole = len(pcm) - len(pcm) % audio_format.frame_bytes
    frames = np.frombuffer(pcm[:whole], dtype="<i2").astype(np.float64)
    power = (frames.reshape(-1, audio_format.frame_samples) ** 2).mean(axis=1)
    return int((power > power.max() / 100).sum()) * audio_format.ptime_ms if len(power) else 0


def _process(socket: Path, threads: int) -> HelperProcess:
    return RecognizerProcess(socket, decoders=threads)


_HELPER = Helper("recognizer", SOCKET_VARIABLE, _process)
