"""Doubles of speech-to-speech engines: a WebSocket server on 127.0.0.1 that a test drives.

A double of an engine is two classes: a `Peer`, which is its side of one conversation and knows the
engine's protocol, and an `EngineDouble`, which names the peer and checks the key.  Tests call the
peer in the gateway's terms (`begin`, `sound`, `ask` ...), and read what the client did in the same
terms (`heard`, `cuts`, `told` ...), so that one contract serves all engines.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Literal

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from gateway.audio.format import AudioFormat
from gateway.audio.g711 import encode_alaw, encode_ulaw
from gateway.errors import ProviderError, ProviderRejected, ProviderUnavailable, QuotaExceeded
from tests.support.speaking_double import Partner, Script

KEY = "sk-secret+key/1"
HUGE_BYTES = 16_000_000
FOREIGN_EVENT = '{"event": "media", "media": {"track": "inbound", "payload": "AAAA"}}'
_IDS = frozenset({"id", "event_id", "response_id", "item_id", "call_id", "tool_call_id"})


class EngineFault(StrEnum):
    """What a double does instead of its work; switch it at any moment."""

    NONE = ""
    # while it is connected to
    REFUSED = "refused"
    """It does not accept the key (HTTP 401)."""
    DOWN = "down"
    """It answers with HTTP 503."""
    SLOW = "slow"
    """It accepts the connection and sends no first byte."""
    ERROR_FIRST = "error first"
    """Its first event is an error: the model is unknown."""
    GARBAGE_FIRST = "garbage first"
    """Its first frame is not of its protocol."""
    VOICE_FIRST = "voice first"
    """Its first event is an error: the voice is unknown."""
    CLOSE_FIRST = "close first"
    """It closes (1011) instead of accepting the session."""
    # in the middle of the next reply (`Peer.say`)
    DROP = "drop"
    """The TCP connection breaks."""
    IDLE = "idle"
    """It closes as it does after too long a silence."""
    LIMIT = "limit"
    """It ends the session because its longest time is over."""
    WRONG_KIND = "wrong kind"
    """Text of another protocol where binary is due, binary garbage where text is due."""
    GARBAGE_AUDIO = "garbage audio"
    """Audio that cannot be decoded, such as broken base64."""
    HUGE = "huge"
    """A frame of 16 MB."""
    UNKNOWN = "unknown"
    """An event of a type that nobody knows; the reply goes on."""
    ERROR = "error"
    """The frame for a used up quota, or the protocol's nearest to it."""
    DIALECT = "dialect"
    """An event of another protocol, as JSON; the reply goes on."""
    NO_IDS = "no ids"
    """From here on its events have no ids; the reply goes on."""
    # always
    LATE = "late"
    """After a cut it sends further audio and words of the reply, each twice."""
    DEAF = "deaf"
    """It reads nothing any more and never answers a close."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine's protocol can do at all; the contract expects no more of its provider."""

    passes: tuple[str, ...] = ("pcmu", "pcma")
    """Encodings of the line that it takes untouched, both ways."""
    is_lossless: bool = True
    """Audio arrives bit by bit (no Opus in between)."""
    is_full_duplex: bool = False
    """It sends audio all the time, without ids and ends: replies are told from their sound."""
    has_welcome: bool = True
    """The server says something before the client does."""
    has_instructions: bool = True
    has_tools: bool = True
    has_history: bool = True
    has_greeting: bool = True
    has_marks: bool = True
    """It reports where the caller's speech starts and ends."""
    has_mark_positions: bool = True
    """... and at which position in the pushed audio."""
    has_caller_text: bool = True
    has_words: bool = True
    """It reports the words of its replies."""
    hears_of_cuts: bool = True
    """A cut is reported to it."""
    hears_of_positions: bool = True
    """... with how much the caller heard."""
    takes_text: bool = True
    """Keys and operators' words can be added in mid-call, with a reply to them."""
    takes_own_words: bool = True
    """What the gateway's own voice has said can be added."""
    takes_instructions: bool = True
    """Instructions can be replaced in mid-call."""
    takes_eagerness: bool = True
    has_usage: bool = True
    withdraws: bool = False
    """It can take back what it asked of tools."""
    has_ends: bool = True
    """It reports that a reply was not finished, and why."""
    gateway_turns: Mapping[str, Any] | None = None
    """Settings with which the gateway owns turns; None = it cannot."""
    errors: Mapping[str, type[ProviderError]] = field(
        default_factory=lambda: {"quota": QuotaExceeded, "key": ProviderRejected}
    )
    """Errors in mid-session that end it, by what `Peer.error` calls them."""
    has_minor_errors: bool = True
    """It reports errors after which the session goes on (`Peer.error("minor")`)."""
    idle: type[ProviderError] = ProviderUnavailable
    limit: type[ProviderError] = ProviderUnavailable
    """How the provider reports the closing of `EngineFault.IDLE` and `LIMIT`."""


class Peer(ABC):
    """The engine's side of one conversation."""

    input_format: AudioFormat
    """What the client sends, as it has announced; set by `read`."""
    output_format: AudioFormat
    GOES_ON_WITH_RESULTS: ClassVar[bool] = False
    """It answers the result of a function by itself; else it is asked to."""
    TELLS_BY: ClassVar[Literal["words", "sentences", "replies"]] = "words"
    """How much text it reports at once, before the sound of it."""

    def __init__(self, double: EngineDouble, connection: ServerConnection) -> None:
        self.double = double
        self.partner: Partner | None = None
        """Its own conduct, where the double has a script."""
        self.connection = connection
        self.frames: list[str | bytes] = []
        """Everything that the client sent."""
        self.sent: list[str | bytes] = []
        self.is_ready = False
        """The session is accepted: set by `read`."""
        self.instructions = ""
        self.history: list[tuple[str, str]] = []
        """(role, text) of what the session began with; roles: user, assistant, tool."""
        self.tools: list[str] = []
        self.language = ""
        self.greeting = ""
        """What the client asks to be said first: contains the words."""
        self.heard = bytearray()
        """The caller's audio, decoded from the frames, in `input_format`."""
        self.commits = 0
        self.cuts: list[int | None] = []
        """For each cut that was reported: ms that the caller heard, None where it is not said."""
        self.told: list[tuple[str, str]] = []
        """(role, text) of what was added in mid-call."""
        self.results: list[tuple[str, str]] = []
        """(call id, content) of tools."""
        self.answers_asked = 0
        """How often the engine was told to speak."""
        self.eagerness: list[str] = []
        self.changed = asyncio.Event()

    # --- what a double of an engine must do: its protocol ----------------------------------------

    async def welcome(self) -> None:  # noqa: B027
        """Send what the server sends before the client says anything."""

    @abstractmethod
    async def read(self, frame: str | bytes) -> None:
        """Check one frame of the client (`refuse` what is wrong) and take note of it."""

    @abstractmethod
    async def caller_starts(self, at_ms: int) -> None: ...

    @abstractmethod
    async def caller_ends(self, at_ms: int) -> None: ...

    @abstractmethod
    async def caller_says(self, text: str, *, is_final: bool) -> None:
        """Send the text of the caller's turn so far."""

    @abstractmethod
    async def begin(self, reply_id: str) -> None:
        """Begin a reply; the id is used where the protocol has ids."""

    @abstractmethod
    async def sound(self, reply_id: str, audio: bytes) -> None: ...

    @abstractmethod
    async def words(self, reply_id: str, text: str) -> None: ...

    @abstractmethod
    async def finish(self, reply_id: str, end: str = "complete") -> None:
        """End a reply: `complete`, `interrupted`, `incomplete` or `failed`."""

    def detects_turns(self) -> bool:
        """Return whether it is to find the caller's turns itself, as the client has set it."""
        return True

    async def stopped(self, reply_id: str) -> None:  # noqa: B027
        """Send what follows when it has stopped a reply itself, for the caller speaks."""

    async def ask(self, reply_id: str, call_id: str, name: str, arguments: str) -> None:
        """Ask for a function to run, within a reply that has begun."""
        raise NotImplementedError

    async def withdraw(self, call_ids: list[str]) -> None:
        raise NotImplementedError

    async def spend(self, input_tokens: int, output_tokens: int, audio_s: float) -> None:
        """Report usage on top of what was reported: tokens or seconds."""
        raise NotImplementedError

    async def expire(self, in_s: int) -> None:
        """Announce the end of the session, where the protocol can."""
        raise NotImplementedError

    @abstractmethod
    async def error(self, problem: str) -> None:
        """Send the error frame for `quota`, `key`, `model` or `minor`."""

    @abstractmethod
    async def unknown(self) -> None:
        """Send an event of a type that is not in the protocol."""

    @abstractmethod
    async def garbage_audio(self, reply_id: str) -> None: ...

    async def wrong_kind(self) -> None:
        await self.send(b"\xff\xfe<html>502 Bad Gateway</html>\r\n\r\n" * 40)

    async def idle_close(self) -> None:
        await self.connection.close(1001, "idle")

    async def limit_close(self) -> None:
        await self.connection.close(1000, "the session has reached its longest time")

    def checked(self, event: dict[str, Any]) -> None:  # noqa: B027
        """Raise if an event that is about to be sent is not the vendor's: by the vendor's types."""

    # --- what every double has -------------------------------------------------------------------

    async def send(self, frame: str | bytes) -> None:
        self.sent.append(frame)
        await self.connection.send(frame)

    async def send_event(self, event: dict[str, Any]) -> None:
        """Send a JSON event that the protocol knows."""
        self.checked(event)
        if self.double.fault is EngineFault.NO_IDS:
            event = without_ids(event)
        await self.send(json.dumps(event))

    def refuse(self, problem: str) -> None:
        """Take note that the client broke the protocol: the test fails by it."""
        self.double.problems.append(problem)

    def changes(self) -> None:
        self.changed.set()

    async def until(self, is_so: Callable[[Peer], object]) -> None:
        """Wait until the client has done something."""
        while not is_so(self):
            self.changed.clear()
            await self.changed.wait()

    def tone(self, seconds: float) -> bytes:
        """Return a loud tone of 440 Hz as the engine would send it."""
        rate = self.output_format.sample_rate_hz
        samples = 9000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
        return coded(samples.astype("<i2").tobytes(), self.output_format)

    async def say(self, reply_id: str, audio: bytes, text: str = "", piece_ms: int = 100) -> None:
        """Send a whole reply in pieces, with the fault of the moment in its middle."""
        form = self.output_format
        step = form.sample_bytes * form.sample_rate_hz * piece_ms // 1000
        pieces = [audio[at : at + step] for at in range(0, len(audio), step)]
        words = [word + " " for word in text.split()]
        words[-1:] = [words[-1].rstrip()] if words else []
        await self.begin(reply_id)
        for number, piece in enumerate(pieces):
            if number == len(pieces) // 2 and await self.misbehaves(reply_id):
                return
            if words:
                await self.words(reply_id, words.pop(0))
            await self.sound(reply_id, piece)
        if words:
            await self.words(reply_id, "".join(words))
        await self.finish(reply_id)

    async def linger(self, reply_id: str) -> None:
        """Send what comes too late after a cut, if that is the fault."""
        if self.double.fault is EngineFault.LATE:
            for _ in range(2):
                await self.words(reply_id, "late")
                await self.sound(reply_id, self.tone(0.1))

    async def misbehaves(self, reply_id: str) -> bool:
        """Do the fault of the moment; return whether the reply ends with it."""
        fault = self.double.fault
        if self.double.is_faulty_once:
            self.double.fault = EngineFault.NONE
        ends: dict[EngineFault, Callable[[], Awaitable[None]]] = {
            EngineFault.DROP: self._drop,
            EngineFault.IDLE: self.idle_close,
            EngineFault.LIMIT: self.limit_close,
            EngineFault.WRONG_KIND: self.wrong_kind,
            EngineFault.GARBAGE_AUDIO: partial(self.garbage_audio, reply_id),
            EngineFault.HUGE: self._flood,
            EngineFault.ERROR: partial(self.error, "quota"),
        }
        disturbs: dict[EngineFault, Callable[[], Awaitable[None]]] = {
            EngineFault.UNKNOWN: self.unknown,
            EngineFault.DIALECT: partial(self.send, FOREIGN_EVENT),
        }
        if act := ends.get(fault) or disturbs.get(fault):
            await act()
        return fault in ends

    async def _drop(self) -> None:
        self.connection.transport.abort()

    async def _flood(self) -> None:
        with suppress(ConnectionClosed):
            await self.send("x" * HUGE_BYTES)


class EngineDouble:
    """The server: every connection is a `Peer`."""

    PEER: ClassVar[type[Peer]]
    ABILITIES: ClassVar[Abilities] = Abilities()
    PATH: ClassVar[str] = ""
    """Appended to the host in `url`."""
    SUBPROTOCOLS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, script: Script | None = None) -> None:
        self.script = script
        """What it does by itself; None = nothing, a test drives its peers."""
        self.fault = EngineFault.NONE
        self.is_faulty_once = False
        """The fault in the middle of a reply comes once, then it is well."""
        self.problems: list[str] = []
        """What the client did against the protocol."""
        self.attempts = 0
        self.paths: list[str] = []
        self.peers: list[Peer] = []
        self.tls: ssl.SSLContext | None = None
        """With it, it is reached by `wss://` at `localhost`."""
        self._open: set[ServerConnection] = set()
        self._changed = asyncio.Event()
        self.port = 0
        """0 = any, once it is running the one that it has."""

    @property
    def url(self) -> str:
        where = "wss://localhost" if self.tls else "ws://127.0.0.1"
        return f"{where}:{self.port}{self.PATH}"

    def settings(self) -> dict[str, Any]:
        """Return what a provider needs to connect to this double."""
        return {"base_url": self.url, "api_key": KEY}

    def knows(self, request: Request) -> bool:
        """Return whether the key is right."""
        return request.headers.get("Authorization") == f"Bearer {KEY}"

    async def connection(self, number: int = 0) -> Peer:
        """Return the engine's side of a conversation, once a client is connected."""
        while len(self.peers) <= number:
            self._changed.clear()
            await self._changed.wait()
        return self.peers[number]

    async def peer(self, number: int = 0) -> Peer:
        """Return the engine's side of a conversation, once it is accepted."""
        peer = await self.connection(number)
        await peer.until(lambda peer: peer.is_ready)
        return peer

    async def all_gone(self) -> None:
        """Read again, and wait until every client has left."""
        for connection in self._open:
            connection.transport.resume_reading()  # type: ignore[attr-defined]
        while self._open:
            self._changed.clear()
            await self._changed.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[EngineDouble]:
        protocols = [Subprotocol(name) for name in self.SUBPROTOCOLS] or None
        server = await serve(
            self._converse, "127.0.0.1", self.port, ssl=self.tls, process_request=self._judge,
            close_timeout=0.2, ping_interval=None, compression=None, subprotocols=protocols,
            max_size=None,
        )  # fmt: skip
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.attempts += 1
        self.paths.append(request.path)
        if self.fault is EngineFault.DOWN:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "down\n")
        if self.fault is EngineFault.REFUSED or not self.knows(request):
            return connection.respond(HTTPStatus.UNAUTHORIZED, f"unknown key {KEY}\n")
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        self._open.add(connection)
        peer = self.PEER(self, connection)
        self.peers.append(peer)
        self._changed.set()
        try:
            if await self._begins(peer):
                async with AsyncExitStack() as stack:
                    if self.script is not None:
                        peer.partner = await stack.enter_async_context(Partner(peer, self.script))
                    async for frame in connection:
                        peer.frames.append(frame)
                        await peer.read(frame)
                        if peer.partner is not None:
                            await peer.partner.follow()
                        peer.changes()
        except ConnectionClosed:
            pass
        except Exception as problem:
            self.problems.append(f"{type(problem).__name__}: {problem}")
            raise
        finally:
            self._open.discard(connection)
            self._changed.set()
            peer.changes()

    async def _begins(self, peer: Peer) -> bool:
        """Welcome the client, or not; return whether the conversation goes on."""
        match self.fault:
            case EngineFault.SLOW:
                await peer.connection.wait_closed()
            case EngineFault.ERROR_FIRST:
                await peer.error("model")
                await peer.connection.wait_closed()
            case EngineFault.VOICE_FIRST:
                await peer.error("voice")
                await peer.connection.wait_closed()
            case EngineFault.GARBAGE_FIRST:
                await peer.wrong_kind()
                await peer.connection.wait_closed()
            case EngineFault.CLOSE_FIRST:
                await peer.connection.close(1011, "out of order")
            case _:
                await peer.welcome()
                return True
        return False

    def deafen(self) -> None:
        """Read nothing any more, so that a close is not answered either."""
        for connection in self._open:
            connection.transport.pause_reading()  # type: ignore[attr-defined]


def without_ids(value: Any) -> Any:
    """Return an event without ids, at any depth."""
    if isinstance(value, dict):
        return {key: without_ids(each) for key, each in value.items() if key not in _IDS}
    return [without_ids(each) for each in value] if isinstance(value, list) else value


def coded(pcm: bytes, form: AudioFormat) -> bytes:
    """Return s16 in the encoding of a format."""
    match form.encoding:
        case "pcmu":
            return encode_ulaw(pcm)
        case "pcma":
            return encode_alaw(pcm)
        case _:
            return pcm


def unwrapped(audio: str) -> bytes:
    """Decode base64 strictly."""
    return base64.b64decode(audio, validate=True)


def wrapped(audio: bytes) -> str:
    return base64.b64encode(audio).decode()
