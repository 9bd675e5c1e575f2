"""OpenAI Live: an engine that listens and speaks at the same time, over a WebSocket.

It decides alone when to speak; nothing can be cut there, so a cut only drops what still comes.
Its voice model has no functions: it delegates.  Source: `openai.types.live` of OpenAI's Python SDK.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat
from gateway.providers.chat_history import with_results
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ProviderSettings,
    ToolResult,
    UserMessage,
)
from gateway.providers.kit.advice import Advice, missing_key, without_effect
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.socket_session import MessageSession
from gateway.providers.kit.spurts import Spurts
from gateway.providers.kit.warm import WarmSockets
from gateway.providers.kit.websocket import Socket, connected
from gateway.providers.s2s._openai_dialect import Event, tool_objects
from gateway.providers.s2s._openai_live import LiveReader
from gateway.providers.speech_to_speech import (
    Eagerness,
    Opening,
    SpeechEvent,
    SpeechSession,
    SpeechToSpeech,
    TurnOwner,
)

SUMMARY = "OpenAI Live: full duplex; it decides alone when to speak, and delegates work."
_MOST_HISTORY = 128
_WARM_S = 600.0
"""An idle connection is replaced after this time."""
_MOST_CHARACTERS = 1500
"""Of one appended text: some 400 of the 500 tokens that are allowed."""


class Settings(ProviderSettings):
    """`s2s = { provider = "openai_live", ... }`."""

    model: Annotated[str, Field(min_length=1)] = "gpt-live-1"
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.openai.com/v1"
    """`wss://`; `ws://` only to this host or a private network."""
    api_key: SecretStr = SecretStr("")
    """Empty for servers that ask for none."""
    voice: str = "marin"
    audio: Literal["line", "pcm", "pcmu", "pcma"] = "line"
    """`line` = the coding of the telephone line, untouched, where the engine takes it."""
    delegation: Literal["responses", "client"] = "responses"
    """Where work goes that the voice delegates: to a model of OpenAI's that calls the agent's
    tools, or to the gateway, as a call of the function `delegated_task`."""
    delegation_model: str = "gpt-5-mini"
    """With `responses`: the model that works behind the voice."""
    delegation_instructions: str = ""
    """With `responses`: its instructions; empty = the agent's."""
    store: bool = False
    """OpenAI keeps the session, sound included."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """To connect, and as long again until the session is accepted."""


class LiveSession(MessageSession):
    """Satisfies `speech_to_speech.SpeechSession`."""

    turns: TurnOwner = "none"

    def __init__(
        self, socket: Socket, endpoint: Endpoint, settings: Settings, form: AudioFormat
    ) -> None:
        super().__init__(socket, endpoint, (form, form))
        self._reader = LiveReader(Spurts(form), endpoint.error)
        self._settings = settings
        self._is_paused = False

    async def open(self, opening: Opening, session: Event) -> None:
        """Start the session and wait until it has started.  Raises ProviderError."""
        self._send({"type": "session.start", "session": session})
        while not self._reader.is_started:
            message = await self._socket.receive(self._settings.connect_timeout_s)
            self._own.extend(self._understood(message))
        if opening.greeting:
            ask = "Greet the caller now with exactly these words and no others: "
            self._append("commentary", ask + opening.greeting)

    def push(self, audio: bytes) -> None:
        """Send caller audio."""
        if self._is_paused:
            self._is_paused = False
            self._send({"type": "session.input_audio.unmute"})
        if audio:
            coded = base64.b64encode(audio).decode()
            self._socket.post('{"type":"session.input_audio.append","audio":"' + coded + '"}')

    def pause(self) -> None:
        """Mute the caller until audio comes again."""
        if not self._is_paused:
            self._is_paused = True
            self._send({"type": "session.input_audio.mute"})

    def cut(self, reply_id: str, heard_ms: int) -> None:
        """Drop what still comes of a reply: the engine cannot be told."""
        self._reader.spurts.cut(reply_id)

    def tell(self, messages: Sequence[Message], *, answer: bool) -> None:
        """Append texts to the session; results go to the model that has asked."""
        has_results = False
        for message in messages:
            if isinstance(message, ToolResult):
                has_results |= self._result(message)
            elif isinstance(message, AssistantMessage):
                self._append("instructions", f"The caller has already been told: {message.text}")
            else:
                (said,) = with_results([message]) or (UserMessage(""),)
                text = said.text if isinstance(said, UserMessage) else ""
                self._append("commentary" if answer else "thinking", text)
        if answer and has_results:
            self._send({"type": "response.create"})
        elif answer and all(isinstance(message, AssistantMessage) for message in messages):
            self._append("commentary", "Speak to the caller now.")

    def instruct(self, instructions: str) -> None:
        """Append instructions: those of the beginning cannot be replaced."""
        self._append("instructions", f"From now on: {instructions}")

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Yield a notice: the engine decides alone when to speak."""
        self._notice(f"eagerness {eagerness} has no effect on this engine")

    def _understood(self, message: str | bytes) -> Iterable[SpeechEvent]:
        return self._reader.read(self._socket.parsed(message))

    def _result(self, result: ToolResult) -> bool:
        """Send a result; return whether the model behind the voice is to go on with it."""
        if result.is_running:
            return False
        if result.call_id in self._reader.delegations:
            self._reader.delegations.discard(result.call_id)
            self._append("commentary", result.content, result.call_id)
            return False
        output = result.content.strip() or "{}"
        item = {"type": "function_call_output", "call_id": result.call_id, "output": output}
        self._send({"type": "response.item.create", "item": item})
        return True

    def _append(self, what: str, text: str, delegation_id: str | None = None) -> None:
        for at in range(0, len(text.strip()), _MOST_CHARACTERS):
            self._send({
                "type": f"session.{what}.append",
                "content": text.strip()[at : at + _MOST_CHARACTERS],
                "delegation_id": delegation_id,
            })  # fmt: skip


class OpenAiLive:
    """Satisfies `speech_to_speech.SpeechToSpeech`."""

    turns: TurnOwner = "none"
    takes_tools = True
    may_be_warm = True  # nothing is counted before a session starts

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        key = settings.api_key.get_secret_value()
        self._endpoint = Endpoint(
            "openai_live",
            settings.base_url.rstrip("/") + "/live/sessions",
            {"Authorization": SecretStr(f"Bearer {key}")} if key else {},
            connect_timeout_s=settings.connect_timeout_s,
        )
        self._warm = WarmSockets(lambda: self._endpoint, _WARM_S)

    def keep_warm(self, count: int) -> None:
        """Keep this number of connections ready for the next sessions."""
        self._warm.keep(count)

    async def warm_up(self) -> None:
        """Connect: the key is checked by that, and nothing is counted before a session starts."""
        async with connected(self._endpoint):
            pass

    @asynccontextmanager
    async def connect(self, opening: Opening) -> AsyncGenerator[SpeechSession, None]:
        """Open a session."""
        form = _format(self._settings, opening.line)
        async with self._warm.connected(self._endpoint) as socket:
            session = LiveSession(socket, self._endpoint, self._settings, form)
            await session.open(opening, _session(self._settings, opening, form))
            yield session

    async def close(self) -> None:
        """Cut connections that wait for a session: every session has one of its own."""
        await self._warm.close()


def _format(settings: Settings, line: AudioFormat) -> AudioFormat:
    wanted = line.encoding if settings.audio == "line" else settings.audio
    match wanted:
        case "pcmu" | "pcma":
            return AudioFormat(8000, line.ptime_ms, wanted)
        case _:
            return AudioFormat(16_000 if line.sample_rate_hz <= 16_000 else 24_000, line.ptime_ms)


def _session(settings: Settings, opening: Opening, form: AudioFormat) -> Event:
    kind = "audio/pcm" if form.encoding == "s16" else f"audio/{form.encoding}"
    output = {"output": {"voice": settings.voice}} if settings.voice else {}
    delegation: Event = {"type": settings.delegation}
    if settings.delegation == "responses":
        delegation["responses"] = {
            "model": settings.delegation_model,
            "instructions": settings.delegation_instructions or opening.instructions,
            "tools": tool_objects(opening.tools),
        }
    history = list(_history(opening.messages))[-_MOST_HISTORY:]
    return {
        "model": settings.model,
        "instructions": opening.instructions,
        "audio": {"format": {"type": kind, "rate": form.sample_rate_hz}, **output},
        "delegation": delegation,
        "store": settings.store,
        **({"input": history} if history else {}),
    }


def _history(messages: Sequence[Message]) -> Iterator[Event]:
    """Yield what was said before: texts alone, results as notes of the developer."""
    for message in with_results(messages):
        match message:
            case UserMessage(text=text):
                yield _said("user", "input_text", text)
            case AssistantMessage(text=text):
                if text:
                    yield _said("assistant", "output_text", text)
            case ToolResult(name=name, content=content):
                yield _said("developer", "input_text", f"{name} returned: {content}")


def _said(role: str, kind: str, text: str) -> Event:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def create(settings: Settings) -> SpeechToSpeech:
    """Make the engine; nothing is connected yet."""
    return OpenAiLive(settings)


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    if settings.delegation == "client":
        keys = ("delegation_model", "delegation_instructions")
        yield from without_effect(settings, keys, 'with delegation = "client"')


def probe() -> str:
    """Return nothing: what it needs is installed with the gateway."""
    return ""
