"""Deepgram's Voice Agent: recognizer, language model and voice behind one WebSocket.

Protocol: developers.deepgram.com, "Voice Agent", and the types of deepgram-sdk 7.17.  G.711 passes
untouched both ways.  The protocol has no ids for replies and none for turns: a reply is what comes
between two ends of audio, and after an interruption sound is dropped until the engine shows by
another event that it has begun anew.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pydantic import SecretStr

from gateway.errors import (
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.contracts import ToolCall, ToolResult
from gateway.providers.kit.advice import Advice, missing_key, odd_voice, without_effect
from gateway.providers.kit.endpoint import Endpoint, KeepAlive
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.rules import kind_of_limit
from gateway.providers.kit.socket_session import Handler, SocketSession, agreed, nothing
from gateway.providers.kit.websocket import Socket, connected
from gateway.providers.s2s._deepgram_settings import (
    Settings,
    formats_for,
    listen_provider,
    settings_message,
    think,
)
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
    ToolsWithdrawn,
    TurnOwner,
)

SUMMARY = "Deepgram Voice Agent; G.711 untouched."

SESSION_S = 7200.0
"""The vendor ends a session after two hours (its documentation)."""
KEEP_ALIVE_S = 8.0
"""How often the vendor wants to hear something while no audio is sent (its documentation)."""
VOICE = r"(?:aura(?:-2)?|flux)-[a-z]+(?:-[a-z]{2})?"
_REFUSED = frozenset({
    "INVALID_SETTINGS",
    "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS",
    "SETTINGS_ALREADY_APPLIED",
    "UNPARSABLE_CLIENT_MESSAGE",
    "USER_AUDIO_FORMAT",
})  # fmt: skip
"""Error codes that another try does not change."""
_LATE = frozenset({"ASR_DRIVER_TIMEOUT", "CLIENT_MESSAGE_TIMEOUT"})
_WITHOUT_MEANING = (
    "FunctionCallResponse", "History", "LatencyReport", "ListenUpdated", "PromptUpdated",
    "SettingsApplied", "SpeakUpdated", "ThinkUpdated", "ThinkLiveUpdated", "Welcome",
)  # fmt: skip


class DeepgramAgent:
    """Satisfies `SpeechToSpeech`."""

    takes_tools = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.turns: TurnOwner = settings.turns
        self._endpoint = Endpoint(
            "deepgram_agent",
            settings.base_url.rstrip("/") + "/agent/converse",
            headers={"Authorization": SecretStr(f"Token {settings.api_key.get_secret_value()}")},
            keep_alive=KeepAlive(KEEP_ALIVE_S, json.dumps({"type": "KeepAlive"})),
            connect_timeout_s=settings.connect_timeout_s,
            tls_ca_file=settings.tls_ca_file,
        )

    async def warm_up(self) -> None:
        """Connect and leave before a session begins: address and key.  Raises ProviderError."""
        async with connected(self._endpoint) as socket:
            within_s = self._settings.connect_timeout_s
            await agreed(socket, self._endpoint, within_s, self._is_welcome)

    def connect(self, opening: Opening) -> AbstractAsyncContextManager[SpeechSession]:
        """Open a session (see `SpeechToSpeech`)."""
        return self._connected(opening)

    @asynccontextmanager
    async def _connected(self, opening: Opening) -> AsyncGenerator[SpeechSession, None]:
        async with connected(self._endpoint) as socket:
            socket.send(json.dumps(settings_message(self._settings, opening)))
            within_s = self._settings.connect_timeout_s
            early = await agreed(socket, self._endpoint, within_s, self._is_applied)
            yield _Session(socket, self._endpoint, self._settings, opening, early)

    async def close(self) -> None:
        """Do nothing: a session's connection ends with it."""

    def _is_welcome(self, event: Fields) -> bool:
        return self._is_answer(event, "Welcome")

    def _is_applied(self, event: Fields) -> bool:
        return self._is_answer(event, "SettingsApplied")

    def _is_answer(self, event: Fields, kind: str) -> bool:
        if event.optional_text("type") == "Error":
            raise error_of(self._endpoint, event)
        return event.optional_text("type") == kind


def error_of(endpoint: Endpoint, event: Fields) -> ProviderError:
    """Return what an `Error` of the vendor means."""
    code = event.optional_text("code") or "without a code"
    kind: type[ProviderError] = ProviderUnavailable
    if code in _REFUSED:
        kind = ProviderRejected
    elif code in _LATE:
        kind = ProviderTimeout
    words = event.optional_text("description")[:300]
    return endpoint.error(kind_of_limit(f"{code} {words}") or kind, f"error {code}: {words}")


class _Session(SocketSession):
    """Satisfies `SpeechSession`."""

    def __init__(
        self,
        socket: Socket,
        endpoint: Endpoint,
        settings: Settings,
        opening: Opening,
        early: Sequence[str | bytes],
    ) -> None:
        super().__init__(socket, endpoint, formats_for(opening.line), early)
        self._settings = settings
        self._opening = opening
        self.turns: TurnOwner = settings.turns
        self._own.append(SessionExpires(SESSION_S))
        self._is_late = False
        """The caller has interrupted and no new reply has begun: sound is of the old one."""
        self._turn = 0
        self._turn_text = ""
        self._notes: list[str] = []
        self._injected: list[str] = []
        """Texts of ours that the engine will report as the caller's."""

    def push(self, audio: bytes) -> None:
        """Send audio as it is."""
        self._send(audio)

    def commit(self) -> None:
        """End the caller's turn, where the engine does not."""
        if self.turns == "gateway":
            self._send({"type": "ForceEndTurn"})

    def instruct(self, instructions: str) -> None:
        """Replace the prompt (`UpdatePrompt` would only add to it)."""
        prompt = "\n\n".join([instructions, *self._notes])
        new = think(self._settings, prompt, self._opening.tools)
        self._send({"type": "UpdateThink", "think": new})

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Change what Flux takes for the end of a turn."""
        if not self._settings.is_flux or self.turns == "gateway":
            self._notice("eagerness is not changed: the engine's own detection does not decide")
            return
        provider = listen_provider(self._settings, self._opening.language, eagerness)
        self._send({"type": "UpdateListen", "listen": {"provider": provider}})

    def _answer_call(self, result: ToolResult) -> None:
        answer = {"id": result.call_id, "name": result.name, "content": result.content}
        self._send({"type": "FunctionCallResponse", **answer})

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._send({"type": "UpdatePrompt", "prompt": text})

    def _ask(self, text: str) -> None:
        self._injected.append(text)
        self._send({"type": "InjectUserMessage", "content": text})

    def _handled(self) -> dict[str, Handler]:
        return {
            **dict.fromkeys(_WITHOUT_MEANING, nothing),
            "AgentAudioDone": self._done,
            "AgentStartedSpeaking": self._begins,
            "AgentThinking": self._begins,
            "ConversationText": self._text,
            "Error": self._failed,
            "FunctionCallCancelled": self._cancelled,
            "FunctionCallRequest": self._calls,
            "InjectionRefused": self._refused,
            "UserStartedSpeaking": self._interrupted,
            "Warning": self._warned,
        }

    def _sound(self, audio: bytes) -> Iterator[SpeechEvent]:
        if audio and not self._is_late and not self._reply.is_cut:
            yield from self._reply.begin()
            yield ReplyAudio(self._reply.id, audio)

    def _begins(self, _: Fields) -> Iterable[SpeechEvent]:
        self._is_late = False
        return ()

    def _text(self, event: Fields) -> Iterator[SpeechEvent]:
        role, content = event.text("role"), event.text("content").strip()
        if role == "user":
            yield from self._caller_text(content)
        elif not self._reply.is_cut:
            self._is_late = False
            yield from self._reply.says(content)

    def _caller_text(self, content: str) -> Iterator[SpeechEvent]:
        yield from self._reply.end(interrupted=True)
        self._is_late = False
        if content in self._injected:
            self._injected.remove(content)
            return
        self._turn_text = f"{self._turn_text} {content}".strip()
        yield CallerEnded()
        yield CallerText(self._turn_text, f"turn-{self._turn}", is_final=True)
        yield self.usage()

    def _interrupted(self, _: Fields) -> Iterator[SpeechEvent]:
        self._turn += 1
        self._turn_text = ""
        yield CallerStarted()
        self._is_late = True
        yield from self._reply.end(interrupted=True)

    def _done(self, _: Fields) -> Iterator[SpeechEvent]:
        if self._reply.id:
            yield from self._reply.end()
            yield self.usage()

    def _calls(self, event: Fields) -> Iterator[SpeechEvent]:
        for call in event.objects("functions"):
            if call.flag("client_side", default=True):
                asked = ToolCall(call.text("id"), call.text("name"), call.text("arguments"))
                yield ToolAsked(asked, self._reply.id)

    def _cancelled(self, event: Fields) -> Iterator[SpeechEvent]:
        yield ToolsWithdrawn(tuple(call.text("id") for call in event.objects("functions")))

    def _refused(self, event: Fields) -> Iterator[SpeechEvent]:
        yield self._noticed(f"an injected text was refused: {event.optional_text('message')}")

    def _warned(self, event: Fields) -> Iterator[SpeechEvent]:
        description = event.optional_text("description")
        yield self._noticed(f"warning {event.text('code')}: {description}")

    def _failed(self, event: Fields) -> Iterable[SpeechEvent]:
        raise error_of(self._endpoint, event)


def create(settings: Settings) -> SpeechToSpeech:
    """Make the engine; connects to nothing yet."""
    return DeepgramAgent(settings)


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    yield from odd_voice(settings.voice, VOICE, "aura-2-thalia-en")
    if settings.model_url is None:
        yield from without_effect(settings, ("model_key",), "without model_url")


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""


def languages(settings: Settings) -> tuple[str, ...]:
    """Return the one language of a recognizer that knows one."""
    return ("en",) if settings.listen_model.endswith("-en") else ()
