"""Moshi: full duplex, caller and engine speak at once; a server of Kyutai's, Python or Rust.

Protocol: one byte for the kind, then the payload, in binary frames (`moshi/moshi/server.py` and
`rust/protocol.md` of kyutai-labs/moshi).  Audio is one endless Ogg-Opus stream each way, 24 kHz
mono.  The model's clock is the caller's audio: it speaks only while audio arrives, silence too.
There are no turns, no prompt, no history and no tools.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import struct
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat
from gateway.errors import (
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.installing import pip_install
from gateway.providers.contracts import Message, ProviderSettings
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.socket_session import MessageSession
from gateway.providers.kit.spurts import Spurts
from gateway.providers.kit.websocket import Socket, connected
from gateway.providers.speech_to_speech import (
    Eagerness,
    EngineNotice,
    Opening,
    ReplyAudio,
    SpeechEvent,
    SpeechSession,
    SpeechToSpeech,
    TurnOwner,
)

SUMMARY = "Moshi (Kyutai): full duplex, on a server of your own; no tools, no instructions."

NAME = "moshi"
FORMAT = AudioFormat(24_000)
_MOST_WORDS = 200
"""Characters that wait for their sound."""
_SCALE = np.float32(1 / 32768)
_VERSION = 0
"""Of the protocol, in the handshake of the Rust server."""
_BUSY = (
    "the server accepted the connection and sent no handshake within {:g} s: it leads one"
    " conversation at a time and is busy, or it is no Moshi server"
)


class Kind(IntEnum):
    """The first byte of a message."""

    HANDSHAKE = 0
    AUDIO = 1
    TEXT = 2
    CONTROL = 3
    METADATA = 4
    ERROR = 5
    PING = 6
    COLOURED_TEXT = 7


_IGNORED = frozenset({Kind.HANDSHAKE, Kind.CONTROL, Kind.METADATA, Kind.PING})


class Settings(ProviderSettings):
    """`s2s = { provider = "moshi", base_url = "ws://127.0.0.1:8998" }`."""

    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/?#]+[^\s?#]*$")] = "ws://127.0.0.1:8998"
    """Everything before `/api/chat`."""
    api_key: SecretStr = SecretStr("")
    """For a proxy in front, as `Authorization: Bearer`; Moshi itself asks for none."""
    language: str = "en"
    """That of the model, which the server was started with."""
    text_temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """This and what follows: only the Rust server reads it."""
    text_top_k: Annotated[int, Field(ge=1)] | None = None
    audio_temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    audio_top_k: Annotated[int, Field(ge=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0)] | None = None
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Length of a conversation in steps of 80 ms."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    """For one attempt to connect, and again for the handshake."""


class _Encoder(Protocol):
    """What is used of `sphn.OpusStreamWriter`."""

    def append_pcm(self, pcm: npt.NDArray[np.float32]) -> bytes:
        """Return the pages that are complete: one for every 40 ms."""


class _Decoder(Protocol):
    """What is used of `sphn.OpusStreamReader`."""

    def append_bytes(self, data: bytes) -> npt.NDArray[np.float32]:
        """Return the sound of the pages that are complete.  Raises ValueError."""


class MoshiSession(MessageSession):
    """Satisfies `SpeechSession`."""

    turns: TurnOwner = "none"

    def __init__(self, link: Socket, endpoint: Endpoint, opening: Opening) -> None:
        """Begin on a connection whose handshake has come."""
        super().__init__(link, endpoint, (FORMAT, FORMAT))
        opus = _opus()
        self._encoder: _Encoder = opus.OpusStreamWriter(FORMAT.sample_rate_hz)
        self._decoder: _Decoder = opus.OpusStreamReader(FORMAT.sample_rate_hz)
        self._spurts = Spurts(FORMAT)
        self._words = ""
        """Those whose sound has not come."""
        for text in _left_out(opening):
            self._notice(text)

    def push(self, audio: bytes) -> None:
        """Send caller audio, silence too: it is the model's clock."""
        samples = np.frombuffer(audio, dtype="<i2").astype(np.float32) * _SCALE
        if pages := self._encoder.append_pcm(samples):
            self._send(bytes([Kind.AUDIO]) + pages)

    def pause(self) -> None:
        """Do nothing: without audio the model stands still and says nothing."""

    def cut(self, reply_id: str, heard_ms: int) -> None:
        """Drop the rest of a reply; the model does not hear of it."""
        del heard_ms
        self._spurts.cut(reply_id)
        if self._spurts.is_cut:
            self._words = ""

    def tell(self, messages: Sequence[Message], *, answer: bool) -> None:
        """Report that the model takes no texts."""
        del messages, answer
        self._notice("a text was left out: Moshi takes nothing but sound")

    def instruct(self, instructions: str) -> None:
        """Report that the model takes no instructions."""
        del instructions
        self._notice("instructions were left out: Moshi takes none")

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Report that there is no end of turn."""
        self._notice(f"eagerness {eagerness} was left out: Moshi has no turns")

    def _understood(self, message: str | bytes) -> Iterator[SpeechEvent]:
        kind, payload = _parts(self._endpoint, message)
        match kind:
            case Kind.AUDIO:
                yield from self._sound(self._decoded(payload))
            case Kind.TEXT:
                self._say(payload.decode(errors="replace"))
            case Kind.COLOURED_TEXT:  # the first byte is the colour
                self._say(payload[1:].decode(errors="replace"))
            case Kind.ERROR:
                raise self._endpoint.error(ProviderUnavailable, _reported(payload))
            case _ if kind not in _IGNORED:
                yield EngineNotice(f"unknown message {kind}", is_unknown_event=True)

    def _sound(self, pcm: bytes) -> Iterator[SpeechEvent]:
        for event in self._spurts.push(pcm):
            if isinstance(event, ReplyAudio) and self._words:
                yield ReplyAudio(event.reply_id, event.audio, self._words)
                self._words = ""
            else:
                yield event

    def _say(self, text: str) -> None:
        """Keep words for the sound that comes next: the model makes both in one step."""
        if not self._spurts.is_cut:
            self._words = (self._words + text)[-_MOST_WORDS:]

    def _decoded(self, pages: bytes) -> bytes:
        try:
            samples = self._decoder.append_bytes(pages)
        except ValueError as error:
            problem = f"what should be audio is not Ogg-Opus: {error}"
            raise self._endpoint.error(ProviderProtocolError, problem) from None
        return bytes(np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2"))


class Moshi:
    """Satisfies `SpeechToSpeech`."""

    turns: TurnOwner = "none"
    takes_tools = False
    takes_greeting = False

    def __init__(self, settings: Settings) -> None:
        self._wanted_s = settings.connect_timeout_s
        key = settings.api_key.get_secret_value()
        self._endpoint = Endpoint(
            NAME,
            settings.base_url.rstrip("/") + "/api/chat",
            headers={"Authorization": SecretStr(f"Bearer {key}")} if key else {},
            query=list(_query(settings)),
            connect_timeout_s=settings.connect_timeout_s,
        )

    async def warm_up(self) -> None:
        """Wait for a handshake, and leave: the server is free again.  Raises ProviderError."""
        _opus()
        async with self._greeted():
            pass

    @asynccontextmanager
    async def connect(self, opening: Opening) -> AsyncGenerator[SpeechSession, None]:
        """Open a conversation.

        Raises:
            ProviderError: no connection, no handshake in time (the server is busy), a refusal;
                the package for Opus is missing.
        """
        _opus()
        async with self._greeted() as link:
            yield MoshiSession(link, self._endpoint, opening)

    async def close(self) -> None:
        """Do nothing: each conversation has a connection of its own."""

    @asynccontextmanager
    async def _greeted(self) -> AsyncGenerator[Socket, None]:
        async with connected(self._endpoint) as link:
            try:
                async with asyncio.timeout(self._wanted_s):
                    await self._handshake(link)
            except TimeoutError:
                problem = _BUSY.format(self._wanted_s)
                raise self._endpoint.error(ProviderTimeout, problem) from None
            yield link

    async def _handshake(self, link: Socket) -> None:
        """Wait for byte 0: the Python server sends it alone, the Rust one with versions."""
        while True:
            kind, payload = _parts(self._endpoint, await link.receive())
            if kind == Kind.ERROR:
                raise self._endpoint.error(ProviderRejected, _reported(payload))
            if kind == Kind.HANDSHAKE:
                break
            if kind != Kind.METADATA:
                problem = f"a handshake was expected, a message of kind {kind} came"
                raise self._endpoint.error(ProviderProtocolError, problem)
        if len(payload) >= 4 and (version := struct.unpack_from("<I", payload)[0]) != _VERSION:
            problem = f"version {version} of the protocol is not known here"
            raise self._endpoint.error(ProviderProtocolError, problem)


def create(settings: Settings) -> SpeechToSpeech:
    """Make the engine; nothing is connected to."""
    return Moshi(settings)


def languages(settings: Settings) -> tuple[str, ...]:
    """Return the language of the server's model, as configured."""
    return (settings.language,)


def probe() -> str:
    """Return how to get what is missing for Ogg-Opus, or an empty string."""
    is_missing = importlib.util.find_spec("sphn") is None
    return f"package sphn is missing (Ogg-Opus): {_INSTALL}" if is_missing else ""


_INSTALL = pip_install('"sphn>=0.2,<0.3"')


def _opus() -> Any:  # noqa: ANN401 - a module without types
    """Import the codec.  Raises ProviderUnavailable."""
    try:
        return importlib.import_module("sphn")
    except ImportError as error:
        raise ProviderUnavailable(NAME, f"{probe() or error}") from error


def _query(settings: Settings) -> Iterator[tuple[str, str]]:
    names = {
        "text_temperature": settings.text_temperature,
        "text_topk": settings.text_top_k,
        "audio_temperature": settings.audio_temperature,
        "audio_topk": settings.audio_top_k,
        "repetition_penalty": settings.repetition_penalty,
        "max_steps": settings.max_steps,
    }
    return ((name, str(value)) for name, value in names.items() if value is not None)


def _parts(endpoint: Endpoint, frame: str | bytes) -> tuple[int, bytes]:
    """Split a frame into kind and payload.  Raises ProviderProtocolError."""
    if isinstance(frame, str) or not frame:
        shown = f"text came: {frame[:80]!r}" if frame else "an empty frame came"
        raise endpoint.error(ProviderProtocolError, f"a binary frame was expected, {shown}")
    return frame[0], frame[1:]


def _reported(payload: bytes) -> str:
    return f"the server reports an error: {payload[:200].decode(errors='replace')}"


def _left_out(opening: Opening) -> Iterator[str]:
    """Describe what an opening asks for that the model cannot do."""
    asked: dict[str, object] = {
        "instructions": opening.instructions,
        "the history of the call": opening.messages,
        "the greeting": opening.greeting,
        "tools": opening.tools,
    }
    names = [name for name, value in asked.items() if value]
    if names:
        yield f"left out, as Moshi takes nothing but sound: {', '.join(names)}"
