"""ElevenLabs Agents: an agent that is kept at the vendor, spoken with over one WebSocket.

Protocol: the vendor's AsyncAPI description (npm `@elevenlabs/types` 0.23) and its Python SDK 2.78.
The agent's own configuration names the audio formats and its tools; instructions, first words,
language and voice are overridden where the agent's security settings allow it.

Every event carries a rising number.  A reply is what comes between two turns of the caller; an
interruption names the last number that is void.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import SecretStr

from gateway.audio.format import AudioFormat
from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.contracts import ToolCall, ToolResult
from gateway.providers.kit.advice import Advice, without_effect
from gateway.providers.kit.alignment import parts, words_of
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.engine_history import transcript
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.lookup import Lookup
from gateway.providers.kit.rules import kind_of_limit
from gateway.providers.kit.socket_session import Handler, SocketSession, agreed, nothing
from gateway.providers.kit.websocket import Socket, connected
from gateway.providers.s2s._elevenlabs_settings import FORMATS, Settings, opening_message
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    Eagerness,
    Opening,
    ReplyAudio,
    ReplyText,
    SessionExpires,
    SpeechEvent,
    SpeechSession,
    SpeechToSpeech,
    ToolAsked,
    TurnOwner,
)

SUMMARY = "ElevenLabs Agents; G.711 mu-law untouched where the agent is set to it."

QUIET_S = 1.5
"""A reply is over when nothing came of it for this long, unless the agent reports its end."""
_PATH = "/convai/conversation"
_REFUSED = frozenset({
    "invalid_message", "missing_dynamic_variable", "missing_dynamic_variable_transfer",
    "missing_fields", "override_error", "safety_violation", "value_error",
})  # fmt: skip
"""Error types that another try does not change."""
_LATE = frozenset({
    "asyncio_timeout", "llm_timeout", "redis_timeout_error", "transport_receive_timeout",
})  # fmt: skip
_REPORTED = ("client_error", "dtmf_request", "guardrail_triggered")
_WITHOUT_MEANING = (
    "agent_chat_response_part", "agent_reasoning_response_part", "agent_response_correction",
    "agent_response_metadata",
    "agent_tool_request", "agent_tool_response", "agent_tool_response_full_payload",
    "agent_typing", "asr_initiation_metadata", "context_usage", "conversation_initiation_metadata",
    "external_agent_connected", "external_agent_disconnected",
    "internal_tentative_agent_response", "internal_turn_probability", "mcp_connection_status",
    "mcp_tool_call", "rich_content", "vad_score",
)  # fmt: skip


class ElevenLabsAgent:
    """Satisfies `SpeechToSpeech`."""

    turns: TurnOwner = "engine"
    takes_tools = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.takes_greeting = "greeting" in settings.overrides
        key = settings.api_key
        query = {"agent_id": settings.agent_id, "environment": settings.environment}
        self._query = {name: value for name, value in query.items() if value}
        self._endpoint = Endpoint(
            "elevenlabs_agent",
            settings.base_url.rstrip("/") + _PATH,
            headers={"xi-api-key": key} if key.get_secret_value() else {},
            query=tuple(self._query.items()),
            connect_timeout_s=settings.connect_timeout_s,
            tls_ca_file=settings.tls_ca_file,
        )
        self._lookup = Lookup(self._endpoint)

    async def warm_up(self) -> None:
        """Ask for a signed address, which shows whether key and agent are known; costs nothing.

        Raises:
            ProviderError: they are not, or no answer came.  Without a key nothing is checked.
        """
        if self._endpoint.headers:
            await self._signed()

    def connect(self, opening: Opening) -> AbstractAsyncContextManager[SpeechSession]:
        """Open a session (see `SpeechToSpeech`)."""
        return self._connected(opening)

    @asynccontextmanager
    async def _connected(self, opening: Opening) -> AsyncGenerator[SpeechSession, None]:
        endpoint = await self._signed() if self._endpoint.headers else self._endpoint
        agreement = _Agreement(endpoint, self._settings.expected_audio)
        async with connected(endpoint) as socket:
            socket.send(json.dumps(opening_message(self._settings, opening)))
            early = await agreed(
                socket, endpoint, self._settings.connect_timeout_s, agreement.is_reached
            )
            session = _Session(socket, endpoint, agreement.formats, early)
            session.begin(opening, self._settings)
            yield session

    async def close(self) -> None:
        """Close the connection that signed addresses are asked for on.  Idempotent."""
        await self._lookup.close()

    async def _signed(self) -> Endpoint:
        """Return where one conversation may be opened; its token is a secret.

        Raises:
            ProviderError: no address was given.
        """
        path = urlsplit(self._endpoint.url).path + "/get-signed-url"
        answer = await self._lookup.get(path, self._query)
        url = answer.get("signed_url")
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme not in {"ws", "wss"}:
            problem = "no signed address came for the conversation"
            raise self._endpoint.error(ProviderProtocolError, problem)
        return Endpoint(
            self._endpoint.provider,
            urlunsplit(parts._replace(query="")),
            headers=self._endpoint.headers,
            query=[(name, SecretStr(value)) for name, value in parse_qsl(parts.query)],
            connect_timeout_s=self._settings.connect_timeout_s,
            tls_ca_file=self._settings.tls_ca_file,
        )


class _Agreement:
    """What the vendor says of the conversation that it has accepted."""

    def __init__(self, endpoint: Endpoint, expected: str) -> None:
        self._endpoint = endpoint
        self._expected = expected
        self.formats = (FORMATS["ulaw_8000"], FORMATS["ulaw_8000"])

    def is_reached(self, event: Fields) -> bool:
        """Read a message.  Raises ProviderError."""
        match event.optional_text("type"):
            case "error":
                raise error_of(self._endpoint, event)
            case "conversation_initiation_metadata":
                found = event.inner("conversation_initiation_metadata_event")
                self.formats = (
                    self._format(found.text("user_input_audio_format"), "input"),
                    self._format(found.text("agent_output_audio_format"), "output"),
                )
                return True
        return False

    def _format(self, name: str, way: str) -> AudioFormat:
        wanted = self._expected or ", ".join(FORMATS)
        if name not in FORMATS or (self._expected and name != self._expected):
            problem = (
                f"the agent's audio {way} is {name}, expected is {wanted}: "
                f"change it in the agent's settings at the vendor"
            )
            raise self._endpoint.error(ProviderRejected, problem)
        return FORMATS[name]


def error_of(endpoint: Endpoint, event: Fields) -> ProviderError:
    """Return what an `error` of the vendor means."""
    told = event.inner("error_event")
    name = told.optional_text("error_type") or f"code {told.value('code')}"
    kind: type[ProviderError] = ProviderUnavailable
    if name in _REFUSED or told.value("code") == 1008:
        kind = ProviderRejected
    elif name in _LATE:
        kind = ProviderTimeout
    words = told.optional_text("message") or told.optional_text("reason")
    kind = kind_of_limit(f"{name} {words}") or kind
    return endpoint.error(kind, f"error {name}: {words[:300]}")


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
        self._newest = 0
        """The highest number of an event of a reply."""
        self._void = 0
        """Events of replies up to this number are dropped."""
        self._has_text = False
        """The text of the reply has come."""
        self._text = ""
        """That text, held until the sound shows whether the words come aligned with it."""
        self._is_aligned = False
        self._text_numbers: set[int] = set()
        """Of the texts of replies that have come."""

    def begin(self, opening: Opening, settings: Settings) -> None:
        """Add what the first message has no place for."""
        if settings.max_duration_s is not None:
            self._own.append(SessionExpires(settings.max_duration_s))
        if earlier := transcript(opening.messages):
            self._note(earlier)

    def push(self, audio: bytes) -> None:
        """Send audio as it is."""
        self._send({"user_audio_chunk": base64.b64encode(audio).decode()})

    def pause(self) -> None:
        """Keep the agent from asking at once whether the caller is still there."""
        self._send({"type": "user_activity"})

    def instruct(self, instructions: str) -> None:
        """Add instructions: the protocol cannot replace them in mid-call."""
        self._note(f"From now on these instructions replace the earlier ones:\n{instructions}")

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Report that the agent's own setting stays."""
        self._notice(f"eagerness {eagerness} is not set: it is fixed in the agent at the vendor")

    def _answer_call(self, result: ToolResult) -> None:
        answer = {"tool_call_id": result.call_id, "result": result.content}
        self._send({"type": "client_tool_result", **answer, "is_error": result.is_error})

    def _note(self, text: str) -> None:
        self._send({"type": "contextual_update", "text": text})

    def _ask(self, text: str) -> None:
        self._send({"type": "user_message", "text": text})

    def _handled(self) -> dict[str, Handler]:
        return {
            **dict.fromkeys(_WITHOUT_MEANING, nothing),
            **dict.fromkeys(_REPORTED, self._reported),
            "agent_response": self._words,
            "agent_response_complete": lambda _: self._end(),
            "audio": self._audio,
            "client_tool_call": self._called,
            "error": self._failed,
            "interruption": self._interrupted,
            "ping": self._pinged,
            "tentative_user_transcript": self._heard,
            "user_transcript": self._caller_text,
        }

    def _overdue(self) -> Iterable[SpeechEvent]:
        return self._end()

    def _audio(self, event: Fields) -> Iterator[SpeechEvent]:
        piece = event.inner("audio_event")
        number, audio = piece.whole("event_id"), piece.audio("audio_base_64")
        if not self._takes(number):
            return
        words = words_of(piece.inner_or_none("alignment"))
        yield from self._reply.begin()
        self._is_aligned = self._is_aligned or bool(words)
        if not self._is_aligned:
            yield from self._flush_text()
        for part, text in parts(audio, words, self.output_format):
            yield ReplyAudio(self._reply.id, part, text)
        self._due_s = self._time() + QUIET_S

    def _words(self, event: Fields) -> Iterator[SpeechEvent]:
        told = event.inner("agent_response_event")
        number, text = told.whole("event_id"), told.text("agent_response").strip()
        if number in self._text_numbers:
            return
        if self._has_text:  # each reply has one text: this is of the next one
            yield from self._end()
        if not self._takes(number):
            return
        yield from self._reply.begin()
        self._text_numbers.add(number)
        self._has_text, self._text = True, text
        self._due_s = self._time() + 2 * QUIET_S

    def _takes(self, number: int) -> bool:
        """Return whether an event of a reply is to be delivered, and take note of its number."""
        if number <= self._void:
            return False
        self._newest = max(self._newest, number)
        if self._reply.is_cut:
            self._due_s = self._time() + QUIET_S
            return False
        return True

    def _interrupted(self, event: Fields) -> Iterator[SpeechEvent]:
        self._void = max(self._void, event.inner("interruption_event").whole("event_id"))
        yield CallerStarted()
        yield from self._end(interrupted=True)

    def _heard(self, event: Fields) -> Iterator[SpeechEvent]:
        told = event.inner("tentative_user_transcription_event")
        yield CallerText(told.text("user_transcript"), str(told.whole("event_id")))

    def _caller_text(self, event: Fields) -> Iterator[SpeechEvent]:
        told = event.inner("user_transcription_event")
        text, number = told.text("user_transcript").strip(), told.whole("event_id")
        yield from self._end()
        yield CallerEnded()
        yield CallerText(text, str(number), is_final=True)
        yield self.usage()

    def _called(self, event: Fields) -> Iterator[SpeechEvent]:
        call = event.inner("client_tool_call")
        call_id, name = call.text("tool_call_id"), call.text("tool_name")
        arguments = json.dumps(call.value("parameters") or {}, ensure_ascii=False)
        yield ToolAsked(ToolCall(call_id, name, arguments), self._reply.id)

    def _pinged(self, event: Fields) -> Iterable[SpeechEvent]:
        number = event.inner("ping_event").whole("event_id")
        self._send({"type": "pong", "event_id": number})
        return ()

    def _reported(self, event: Fields) -> Iterator[SpeechEvent]:
        yield self._noticed(f"the agent reports {event.text('type')}")

    def _failed(self, event: Fields) -> Iterable[SpeechEvent]:
        raise error_of(self._endpoint, event)

    def _flush_text(self) -> Iterator[SpeechEvent]:
        if self._text:
            yield ReplyText(self._reply.id, self._text)
            self._text = ""

    def _end(self, *, interrupted: bool = False) -> Iterator[SpeechEvent]:
        self._due_s = None
        if not self._reply.id:
            return
        if not self._is_aligned:
            yield from self._flush_text()
        if interrupted or self._reply.is_cut:
            self._void = max(self._void, self._newest)
        self._has_text, self._text, self._is_aligned = False, "", False
        yield from self._reply.end(interrupted=interrupted)
        yield self.usage()


def create(settings: Settings) -> SpeechToSpeech:
    """Make the engine; connects to nothing yet."""
    return ElevenLabsAgent(settings)


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    if "voice" not in settings.overrides:
        yield from without_effect(settings, ("voice",), 'without "voice" in overrides')


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
