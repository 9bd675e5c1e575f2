"""OpenAI's realtime dialect: settings, the session object, conversation items.  Pure.

Several vendors speak it; what each does in its own way is a value of its `Dialect`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, cast

from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat, Encoding
from gateway.providers.chat_history import with_results
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ProviderSettings,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from gateway.providers.kit.advice import Advice, without_effect
from gateway.providers.speech_to_speech import Eagerness, Opening, TurnOwner

Path = tuple[str, ...]
Event = dict[str, Any]

PLACES: Mapping[str, Path] = {
    "instructions": ("instructions",),
    "tools": ("tools",),
    "tool_choice": ("tool_choice",),
    "max_output_tokens": ("max_output_tokens",),
    "output_modalities": ("output_modalities",),
    "input_format": ("audio", "input", "format"),
    "output_format": ("audio", "output", "format"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "transcription": ("audio", "input", "transcription"),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
}
"""Where OpenAI's session object has what every session needs."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one vendor does in its own way."""

    name: str
    """Of the provider, for errors."""
    path: str = "/realtime"
    """Appended to `base_url`."""
    authorization: str = "Bearer"
    """Scheme of the `Authorization` header."""
    model_query: str = "model"
    """Query parameter that names the model; empty = it stands in the session object."""
    call_query: str = ""
    """Query parameter that carries the id of the call."""
    call_header: str = ""
    """Header that carries the id of the call."""
    query: tuple[tuple[str, str], ...] = ()
    """Further query parameters."""
    pcm_rates_hz: tuple[int, ...] = (24_000,)
    """Rates of linear audio that it takes, best last."""
    places: Mapping[str, Path] = field(default_factory=lambda: PLACES)
    """Where its session object has what `wishes` names; what has no place is not sent."""
    session_type: str = "realtime"
    """`type` of the session object; empty = it has none."""
    language_key: str = "language"
    """Of the transcription settings."""
    keywords_key: str = "keywords"
    partial_is_whole: bool = False
    """A transcription `delta` is the whole text so far, not what was added."""
    text_starts_speech: bool = False
    """Its report of speech may come after the first text of it: that text counts as one, too."""
    may_be_warm: bool = False
    """A connection without a conversation costs nothing there."""
    longest_s: float = 3600.0
    """After which a session ends."""
    ignored: frozenset[str] = frozenset()
    """Types of events that only this vendor has and that mean nothing for a call."""


class RealtimeSettings(ProviderSettings):
    """Settings of every engine that speaks OpenAI's realtime dialect."""

    model: Annotated[str, Field(min_length=1)]
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")]
    """`wss://`; `ws://` only to this host or a private network."""
    api_key: SecretStr = SecretStr("")
    """Empty for servers that ask for none."""
    voice: str = ""
    """Empty = the engine's own."""
    speed: Annotated[float, Field(ge=0.25, le=1.5)] | None = None
    """Of its speech; 1.0 is normal."""
    audio: Literal["line", "pcm", "pcmu", "pcma"] = "line"
    """`line` = the coding of the telephone line, untouched, where the engine takes it."""
    language: str = ""
    """Of the transcription, such as `en`; empty = the agent's.  What the engine speaks is a matter
    of its instructions."""
    transcription_model: str = ""
    """Writes down what the caller says; empty = nothing is written down."""
    transcription_keywords: tuple[str, ...] = ()
    """Words that it should expect."""
    turn_detection: Literal["server_vad", "semantic_vad", "none"] = "server_vad"
    """The engine's end of turn: by silence, or by meaning; `none` = the gateway ends turns."""
    vad_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """With `server_vad`: how loud speech must be."""
    prefix_padding_ms: Annotated[int, Field(ge=0, le=5000)] | None = None
    """With `server_vad`: audio before detected speech that belongs to it."""
    silence_duration_ms: Annotated[int, Field(ge=50, le=10_000)] | None = None
    """With `server_vad`: silence after which the turn is over."""
    idle_timeout_ms: Annotated[int, Field(ge=1000, le=60_000)] | None = None
    """With `server_vad`: silence after a reply in which the engine speaks again by itself."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """To connect, and as long again until the session is accepted."""
    extra_session: dict[str, Any] = Field(default_factory=dict)
    """Merged into the session object, for what only this server knows."""

    @property
    def turns(self) -> TurnOwner:
        """The side that ends the caller's turns."""
        return "gateway" if self.turn_detection == "none" else "engine"

    def wishes(self) -> dict[str, object]:
        """Return what only this vendor has, by the names in its `Dialect.places`."""
        return {}

    def detection(self, eagerness: Eagerness | None = None) -> Event | None:
        """Return the object that describes turn detection; None = it is off.

        Args:
            eagerness: instead of what is set.
        """
        if self.turn_detection == "none":
            return None
        silence_ms = SILENCE_MS[eagerness] if eagerness else self.silence_duration_ms
        limits = {
            "threshold": self.vad_threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": silence_ms,
            "idle_timeout_ms": self.idle_timeout_ms,
        }
        found = {key: value for key, value in limits.items() if value is not None}
        return {"type": self.turn_detection, **found}


class WholeSettings(RealtimeSettings):
    """Settings of engines that have OpenAI's whole session object."""

    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    """With `semantic_vad`: how soon a turn counts as over."""
    create_response: bool = True
    """The engine answers by itself when its detection ends a turn; false = the gateway asks it."""
    interrupt_response: bool = True
    """The engine stops its reply by itself when it detects speech; false = the gateway decides."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Of one reply, tool calls included."""
    tool_choice: Literal["auto", "none", "required"] = "auto"

    @property
    def turns(self) -> TurnOwner:
        """The side that ends the caller's turns."""
        return super().turns if self.create_response else "gateway"

    def wishes(self) -> dict[str, object]:
        """Return what is sent beyond what every dialect has."""
        limit = self.max_output_tokens
        return {"tool_choice": self.tool_choice, **({"max_output_tokens": limit} if limit else {})}

    def detection(self, eagerness: Eagerness | None = None) -> Event | None:
        """Return the object that describes turn detection; None = it is off."""
        found = super().detection(eagerness)
        if found is None:
            return None
        if self.turn_detection == "semantic_vad":
            found = {"type": "semantic_vad", "eagerness": eagerness or self.eagerness}
        return {
            **found,
            "create_response": self.create_response,
            "interrupt_response": self.interrupt_response,
        }


_ONLY_SILENCE = ("vad_threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms")


def turn_cautions(settings: RealtimeSettings) -> Iterator[Advice]:
    """Yield settings of turn detection that its kind does not know."""
    kind = settings.turn_detection
    why = f'with turn_detection = "{kind}"'
    if kind != "server_vad":
        yield from without_effect(settings, _ONLY_SILENCE, why)
    if kind != "semantic_vad":
        yield from without_effect(settings, ("eagerness",), why)
    if kind == "none":
        yield from without_effect(settings, ("create_response", "interrupt_response"), why)
    if not settings.transcription_model:
        keys = ("language", "transcription_keywords")
        yield from without_effect(settings, keys, "without transcription_model")


SILENCE_MS: Mapping[Eagerness, int] = {"low": 900, "medium": 500, "high": 250}
"""What an eagerness means for a detection by silence (OpenAI's own default is 500 ms)."""


def audio_format(dialect: Dialect, settings: RealtimeSettings, line: AudioFormat) -> AudioFormat:
    """Return what is sent and received: the line's own coding where the engine takes it."""
    wanted = line.encoding if settings.audio == "line" else settings.audio
    if wanted not in {"s16", "pcm"}:
        return AudioFormat(8000, line.ptime_ms, cast("Encoding", wanted))
    rates = dialect.pcm_rates_hz
    rate = line.sample_rate_hz if line.sample_rate_hz in rates else rates[-1]
    return AudioFormat(rate, line.ptime_ms)


def format_object(form: AudioFormat) -> Event:
    """Return a format as the session object has it."""
    if form.encoding == "s16":
        return {"type": "audio/pcm", "rate": form.sample_rate_hz}
    return {"type": f"audio/{form.encoding}"}


def session_object(
    dialect: Dialect, settings: RealtimeSettings, opening: Opening, form: AudioFormat
) -> Event:
    """Return the session that is asked for."""
    wishes: dict[str, object] = {
        "instructions": opening.instructions,
        "output_modalities": ["audio"],
        "tools": tool_objects(opening.tools),
        "input_format": format_object(form),
        "output_format": format_object(form),
        "turn_detection": settings.detection(),
        "transcription": _transcription(dialect, settings, opening.language),
        **settings.wishes(),
    }
    if not dialect.model_query:
        wishes["model"] = settings.model
    if not opening.tools:
        wishes.pop("tool_choice", None)
    for name in ("voice", "speed"):
        if value := getattr(settings, name):
            wishes[name] = value
    session = placed(dialect, wishes)
    return _merged(session, settings.extra_session)


def placed(dialect: Dialect, wishes: Mapping[str, object]) -> Event:
    """Return a session object, whole or partial, with each wish at its place."""
    session: Event = {"type": dialect.session_type} if dialect.session_type else {}
    for name, value in wishes.items():
        if path := dialect.places.get(name, ()):
            where = session
            for step in path[:-1]:
                where = where.setdefault(step, {})
            where[path[-1]] = value
    return session


def tool_objects(tools: Sequence[ToolSpec]) -> list[Event]:
    """Return function tools as the session object has them: flat."""
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        }
        for tool in tools
    ]


def history_items(messages: Sequence[Message]) -> Iterator[Event]:
    """Yield what was said before as conversation items; every call has its result."""
    for message in with_results(messages):
        if isinstance(message, ToolResult):
            yield _result(message)
        elif isinstance(message, UserMessage):
            yield _said("user", "input_text", message.text)
        else:
            if message.text:
                yield _said("assistant", "output_text", message.text)
            for call in message.tool_calls:
                yield {
                    "type": "function_call",
                    "call_id": call.id,
                    "name": call.name,
                    "arguments": call.arguments,
                }


def told_items(messages: Sequence[Message]) -> Iterator[Event]:
    """Yield what is added in mid-call; the result of a tool that still runs is not sent."""
    for message in messages:
        if not isinstance(message, ToolResult):
            yield from history_items([_without_calls(message)])
        elif not message.is_running:
            yield _result(message)


def greeting_request(words: str) -> Event:
    """Return what `response.create` carries so that the engine says these words first."""
    ask = "The call has just been answered. Greet the caller with exactly these words and no others"
    return {"instructions": f"{ask}: {words}"}


def _without_calls(message: UserMessage | AssistantMessage) -> Message:
    if isinstance(message, AssistantMessage):
        return AssistantMessage(message.text, interrupted=message.interrupted)
    return message


def _said(role: str, kind: str, text: str) -> Event:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def _result(result: ToolResult) -> Event:
    output = result.content.strip() or "{}"
    return {"type": "function_call_output", "call_id": result.call_id, "output": output}


def _transcription(dialect: Dialect, settings: RealtimeSettings, language: str) -> Event | None:
    if not settings.transcription_model:
        return None
    spoken = (settings.language or language).partition("-")[0].lower()
    wanted: Event = {"model": settings.transcription_model}
    if spoken:
        wanted[dialect.language_key] = spoken
    if settings.transcription_keywords:
        wanted[dialect.keywords_key] = list(settings.transcription_keywords)
    return wanted


def _merged(below: Event, above: Mapping[str, Any]) -> Event:
    made = dict(below)
    for key, value in above.items():
        known = made.get(key)
        is_deep = isinstance(known, dict) and isinstance(value, dict)
        made[key] = _merged(known, value) if is_deep and known is not None else value
    return made
