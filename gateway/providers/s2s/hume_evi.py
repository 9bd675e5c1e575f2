"""Hume's Empathic Voice Interface (EVI): one WebSocket, audio as Base64 both ways.

Protocol: dev.hume.ai, "Speech-to-speech (EVI)", and the types of hume 0.14.  It takes linear PCM at
any rate and sends WAV at 48 kHz; G.711 is not in it.  A reply of ours is what comes up to
`assistant_end`: several messages, each with sound of the same id.
"""

from __future__ import annotations

import base64
import json
import struct
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

from gateway.audio.format import AudioFormat
from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.contracts import ToolCall, ToolResult, Trait
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.lookup import Lookup
from gateway.providers.kit.rules import kind_of_limit
from gateway.providers.kit.socket_session import Handler, SocketSession, agreed, nothing
from gateway.providers.kit.websocket import Socket, connected
from gateway.providers.s2s._hume_settings import Settings, settings_message
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    Eagerness,
    Opening,
    ReplyAudio,
    SessionExpires,
    SpeechEvent,
    SpeechSession,
    SpeechToSpeech,
    ToolAsked,
    TurnOwner,
)

SUMMARY = "Hume EVI; the line's audio is resampled both ways."

OUTPUT = AudioFormat(48_000)
"""What its WAV pieces carry (its documentation); each piece's header is checked."""
_KNOWN_CHATS = 1000
"""How many calls' chat groups are remembered for a reconnect."""
_REFUSED_PREFIXES = ("E01", "E02", "E03")
"""Codes of requests that cannot be served, of unusable audio, and of an empty account."""
_WITHOUT_MEANING = (
    "assistant_prosody", "chat_metadata", "session_settings", "tool_error", "tool_response",
)  # fmt: skip


class HumeEvi:
    """Satisfies `SpeechToSpeech`."""

    turns: TurnOwner = "engine"
    takes_tools = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._groups: OrderedDict[str, str] = OrderedDict()
        """Call -> chat group, so that a chat that was lost is resumed."""
        self._lookup = Lookup(self._endpoint())

    async def warm_up(self) -> None:
        """Ask for the configuration, which shows whether it and the key are known; costs nothing.

        Raises:
            ProviderError: they are not, or no answer came.
        """
        path = urlsplit(self._settings.base_url).path.rstrip("/") + "/evi/configs"
        found = self._settings.config_id
        await self._lookup.get(f"{path}/{found}" if found else path, {"page_size": "1"})

    def connect(self, opening: Opening) -> AbstractAsyncContextManager[SpeechSession]:
        """Open a session (see `SpeechToSpeech`); a call that had one goes on in its chat group."""
        return self._connected(opening)

    @asynccontextmanager
    async def _connected(self, opening: Opening) -> AsyncGenerator[SpeechSession, None]:
        resumed = self._groups.pop(opening.call_id, "")
        endpoint = self._endpoint(resumed)
        taken = AudioFormat(opening.line.sample_rate_hz)
        agreement = _Agreement(endpoint)
        async with connected(endpoint) as socket:
            socket.send(json.dumps(settings_message(self._settings, opening, taken)))
            early = await agreed(
                socket, endpoint, self._settings.connect_timeout_s, agreement.is_reached
            )
            self._remember(opening.call_id, agreement.chat_group_id)
            session = _Session(socket, endpoint, (taken, OUTPUT), early)
            session.begin(opening, self._settings.max_duration_s)
            yield session

    async def close(self) -> None:
        """Close the connection of `warm_up`.  Idempotent."""
        await self._lookup.close()

    def _endpoint(self, resumed: str = "") -> Endpoint:
        settings = self._settings
        version = settings.config_version
        query = [
            ("config_id", settings.config_id),
            ("config_version", "" if version is None else str(version)),
            ("verbose_transcription", "true" if settings.interim_transcripts else ""),
            ("resumed_chat_group_id", resumed),
        ]
        return Endpoint(
            "hume_evi",
            settings.base_url.rstrip("/") + "/evi/chat",
            headers={"X-Hume-Api-Key": settings.api_key},
            query=[(name, value) for name, value in query if value],
            connect_timeout_s=settings.connect_timeout_s,
            tls_ca_file=settings.tls_ca_file,
        )

    def _remember(self, call_id: str, chat_group_id: str) -> None:
        if chat_group_id:
            self._groups[call_id] = chat_group_id
            while len(self._groups) > _KNOWN_CHATS:
                self._groups.popitem(last=False)


class _Agreement:
    """What the vendor says of the chat that it has accepted."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.chat_group_id = ""

    def is_reached(self, event: Fields) -> bool:
        """Read a message.  Raises ProviderError."""
        match event.optional_text("type"):
            case "error":
                raise error_of(self._endpoint, event)
            case "chat_metadata":
                self.chat_group_id = event.optional_text("chat_group_id")
                return True
        return False


def error_of(endpoint: Endpoint, event: Fields) -> ProviderError:
    """Return what an `error` of the vendor means."""
    code = event.optional_text("code") or "without a code"
    slug = event.optional_text("slug")
    words = event.optional_text("message")[:300]
    kind = kind_of_limit(f"{slug} {words}") or ProviderUnavailable
    if code.startswith(_REFUSED_PREFIXES) and kind is ProviderUnavailable:
        kind = ProviderRejected
    elif "timeout" in slug:
        kind = ProviderTimeout
    return endpoint.error(kind, f"error {code} {slug}: {words}")


class _Session(SocketSession):
    """Satisfies `SpeechSession`."""

    may_hang_up = True

    def __init__(
        self,
        socket: Socket,
        endpoint: Endpoint,
        formats: tuple[AudioFormat, AudioFormat],
        early: Sequence[str | bytes],
    ) -> None:
        super().__init__(socket, endpoint, formats, early)
        self._ids: set[str] = set()
        """The vendor's ids of messages within the reply."""
        self._void: set[str] = set()
        """Ids of the reply that was interrupted last: what still comes of them is dropped."""
        self._is_speaking = False
        """The caller, as far as interim transcripts have shown."""
        self._turn = 1
        self._is_paused = False
        self._notes: list[str] = []

    def begin(self, opening: Opening, max_duration_s: float) -> None:
        """Add what the first message has no place for."""
        self._own.append(SessionExpires(max_duration_s))
        if opening.greeting:
            self._send({"type": "assistant_input", "text": opening.greeting})

    def push(self, audio: bytes) -> None:
        """Send audio as it is; the first after a pause lets the engine answer again."""
        if self._is_paused:
            self._is_paused = False
            self._send({"type": "resume_assistant_message"})
        self._send({"type": "audio_input", "data": base64.b64encode(audio).decode()})

    def pause(self) -> None:
        """Keep the engine from speaking until audio comes again."""
        if not self._is_paused:
            self._is_paused = True
            self._send({"type": "pause_assistant_message"})

    def instruct(self, instructions: str) -> None:
        """Replace the prompt."""
        self._send({"type": "session_settings", "system_prompt": instructions})

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Report that the configuration's turn detection stays."""
        self._notice(f"eagerness {eagerness} is not set: it is fixed in the EVI configuration")

    def _answer_call(self, result: ToolResult) -> None:
        answer = {"tool_call_id": result.call_id, "content": result.content}
        if result.is_error:
            self._send({"type": "tool_error", "error": result.content, **answer})
        else:
            self._send({"type": "tool_response", "tool_name": result.name, **answer})

    def _note(self, text: str) -> None:
        self._notes.append(text)  # each context replaces the one before
        context = {"text": "\n".join(self._notes), "type": "temporary"}
        self._send({"type": "session_settings", "context": context})

    def _ask(self, text: str) -> None:
        self._send({"type": "user_input", "text": text})

    def _handled(self) -> dict[str, Handler]:
        return {
            **dict.fromkeys(_WITHOUT_MEANING, nothing),
            "assistant_end": lambda _: self._end(),
            "assistant_message": self._words,
            "audio_output": self._audio,
            "error": self._failed,
            "tool_call": self._called,
            "user_interruption": self._interrupted,
            "user_message": self._caller_text,
        }

    def _audio(self, event: Fields) -> Iterator[SpeechEvent]:
        part, piece = event.text("id"), event.audio("data")
        if not self._takes(part):
            return
        try:
            pcm = pcm_of(piece)
        except ValueError as error:
            raise self._error(ProviderProtocolError, str(error)) from None
        yield from self._reply.begin()
        yield ReplyAudio(self._reply.id, pcm)

    def _words(self, event: Fields) -> Iterator[SpeechEvent]:
        content = event.inner("message").optional_text("content").strip()
        if content and self._takes(event.optional_text("id")):
            yield from self._reply.says(content)

    def _takes(self, part: str) -> bool:
        """Return whether a part of a reply is to be delivered, and take note of its id."""
        if part in self._void:
            return False
        self._ids.add(part)
        return not self._reply.is_cut

    def _interrupted(self, _: Fields) -> Iterator[SpeechEvent]:
        if not self._is_speaking:
            self._is_speaking = True
            yield CallerStarted()
        yield from self._end(interrupted=True)

    def _caller_text(self, event: Fields) -> Iterator[SpeechEvent]:
        if event.flag("from_text"):
            return  # ours
        text, time = event.inner("message").optional_text("content"), event.inner("time")
        if not self._is_speaking:
            self._is_speaking = True
            yield CallerStarted(time.whole("begin"))
        turn_id = f"turn-{self._turn}"
        if event.flag("interim"):
            yield CallerText(text, turn_id)
            return
        self._is_speaking = False
        self._turn += 1
        self._notes.clear()
        yield from self._end(interrupted=True)
        yield CallerEnded(time.whole("end"))
        traits = tuple(emotions(event.inner("models")))
        yield CallerText(text, turn_id, is_final=True, traits=traits)
        yield self.usage()

    def _called(self, event: Fields) -> Iterator[SpeechEvent]:
        call = ToolCall(event.text("tool_call_id"), event.text("name"), event.text("parameters"))
        if event.optional_text("tool_type") != "builtin":
            yield ToolAsked(call, self._reply.id)

    def _failed(self, event: Fields) -> Iterator[SpeechEvent]:
        code = event.text("code")
        if not code.startswith("W"):
            raise error_of(self._endpoint, event)
        yield self._noticed(f"warning {code} {event.optional_text('slug')}")

    def _end(self, *, interrupted: bool = False) -> Iterator[SpeechEvent]:
        if self._reply.id:
            if interrupted or self._reply.is_cut:
                self._void = self._ids
            self._ids = set()
            yield from self._reply.end(interrupted=interrupted)
            yield self.usage()


def emotions(models: Fields) -> Iterator[Trait]:
    """Yield the strongest expression of a user message (`models.prosody.scores`, 0..1 each)."""
    prosody = models.inner_or_none("prosody")
    scores = prosody.value("scores") if prosody is not None else None
    if not isinstance(scores, dict):
        return
    known = {name: value for name, value in scores.items() if isinstance(value, int | float)}
    if known:
        name = max(known, key=known.__getitem__)
        yield Trait("emotion", name, float(known[name]))


def pcm_of(piece: bytes) -> bytes:
    """Return the samples of a WAV file in `OUTPUT`; without a header it is samples already.

    Raises:
        ValueError: it is of another format, or broken.
    """
    if not piece.startswith(b"RIFF"):
        return piece
    at = 12
    while at + 8 <= len(piece):
        name, size = piece[at : at + 4], int.from_bytes(piece[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"fmt " and body + 16 <= len(piece):
            _, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", piece, body)
            if (channels, rate_hz, bits) != (1, OUTPUT.sample_rate_hz, 16):
                raise ValueError(
                    f"the engine sent {bits} bits at {rate_hz} Hz on {channels} channels,"
                    f" not 16 bits at {OUTPUT.sample_rate_hz} Hz on one"
                )
        if name == b"data":
            return piece[body : body + size]  # a stream's length may be as large as it gets
        at = body + size + size % 2
    raise ValueError("the engine sent a WAV file without samples")


def create(settings: Settings) -> SpeechToSpeech:
    """Make the engine; connects to nothing yet."""
    return HumeEvi(settings)


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
