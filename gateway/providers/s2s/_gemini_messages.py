"""What a client of Gemini Live sends: setup, turns, audio, results.  Pure.

Message and field names: `BidiGenerateContent` of the Gemini API, `LiveClientMessage` of the SDK.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ProviderSettings,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from gateway.providers.speech_to_speech import Opening

CUT = "…"
"""Ends what the caller has heard of an interrupted sentence."""
_OPENS_TURN = "(The call goes on.)"
"""The last turn of a history must be the user's."""

VOICES = (
    "Achernar", "Achird", "Algenib", "Algieba", "Alnilam", "Aoede", "Autonoe", "Callirrhoe",
    "Charon", "Despina", "Enceladus", "Erinome", "Fenrir", "Gacrux", "Iapetus", "Kore",
    "Laomedeia", "Leda", "Orus", "Puck", "Pulcherrima", "Rasalgethi", "Sadachbia", "Sadaltager",
    "Schedar", "Sulafat", "Umbriel", "Vindemiatrix", "Zephyr", "Zubenelgenubi",
)  # fmt: skip
"""Prebuilt voices in the documentation of the Gemini API."""
DETECTION = ("start_sensitivity", "end_sensitivity", "prefix_padding_ms", "silence_ms")
"""Settings of the engine's own turn detection."""

Json = dict[str, object]


class Settings(ProviderSettings):
    """`s2s = { provider = "gemini_live", ... }`."""

    api_key: SecretStr
    model: Annotated[str, Field(min_length=1)]
    """Such as `gemini-2.5-flash-native-audio-latest` or `gemini-3.1-flash-live-preview`."""
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/?#]+[^\s?#]*$")] = (
        "wss://generativelanguage.googleapis.com"
    )
    """Everything before `/ws/google.ai.generativelanguage...`."""
    api_version: Annotated[str, Field(pattern=r"^v\d+[a-z0-9]*$")] = "v1beta"
    voice: str = ""
    """Such as `Puck` or `Kore`; empty = the model's own."""
    language_code: str = ""
    """Such as `de-DE`; models with native audio refuse it and follow the instructions instead."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Of one reply, audio included (25 tokens are a second)."""
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None
    """For models from Gemini 3 on."""
    thinking_budget: Annotated[int, Field(ge=-1)] | None = None
    """Tokens for thinking, for models of Gemini 2.5; 0 = none, -1 = as the model likes."""
    turns: Literal["engine", "gateway"] = "engine"
    """The side that decides when the caller's turn is over."""
    start_sensitivity: Literal["low", "high"] | None = None
    """How readily sound counts as the beginning of speech; only with `turns = "engine"`."""
    end_sensitivity: Literal["low", "high"] | None = None
    """How readily silence counts as the end of speech; only with `turns = "engine"`."""
    prefix_padding_ms: Annotated[int, Field(ge=0, le=5000)] | None = None
    """How long speech must last to count; only with `turns = "engine"`."""
    silence_ms: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Silence that ends the caller's turn; only with `turns = "engine"`."""
    caller_text: bool = True
    """Ask for what the caller has said, as text."""
    reply_text: bool = True
    """Ask for what the engine says, as text; without it the history holds no replies."""
    async_tools: bool = False
    """The model may speak on while a tool runs (`NON_BLOCKING`); not every model can."""
    resume: bool = True
    """Ask for handles with which a new connection goes on where the last one ended."""
    compress_context: bool = True
    """Let the server drop what is oldest: without it a session ends after 15 minutes."""
    history: Literal["turns", "instructions"] = "turns"
    """How what was said before a session reaches the model: as turns, or in its instructions."""
    texts: Literal["turns", "realtime"] | None = None
    """How texts are sent in mid-call; None = as turns for Gemini 2, else as realtime input."""
    input_rate_hz: Literal[8000, 16000, 24000] = 16000
    """Of the caller's audio; other rates than 16000 are converted by the server."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    """For one attempt to connect, and again for the acceptance of the setup."""

    @property
    def sends_turns(self) -> bool:
        """Return whether texts go as `clientContent`, which later models take only as history."""
        if self.texts is None:
            return self.model.removeprefix("models/").startswith(("gemini-2", "gemini-live-2"))
        return self.texts == "turns"


def setup(settings: Settings, opening: Opening, handle: str | None = None) -> str:
    """Build the first message of a connection.

    Args:
        settings: of the engine.
        opening: what the session begins with.
        handle: of the session that goes on; None = a new one.
    """
    is_new = handle is None
    instructions = opening.instructions
    if is_new and settings.history == "instructions" and opening.messages:
        instructions = "\n\n".join(filter(None, (instructions, _as_text(opening.messages))))
    fields: dict[str, object] = {
        "model": settings.model if "/" in settings.model else f"models/{settings.model}",
        "generationConfig": _generation(settings),
        "systemInstruction": {"parts": [{"text": instructions}]} if instructions else None,
        "tools": [{"functionDeclarations": _functions(settings, opening.tools)}]
        if opening.tools
        else None,
        "realtimeInputConfig": _input_config(settings),
        "inputAudioTranscription": {} if settings.caller_text else None,
        "outputAudioTranscription": {} if settings.reply_text else None,
        "sessionResumption": _present({"handle": handle}) if settings.resume else None,
        "contextWindowCompression": {"slidingWindow": {}} if settings.compress_context else None,
        "historyConfig": {"initialHistoryInClientContent": True}
        if is_new and settings.history == "turns" and opening.messages
        else None,
    }
    return _json({"setup": _present(fields)})


def first_messages(settings: Settings, opening: Opening, *, resumed: bool) -> list[str]:
    """Build what follows the accepted setup: the history, then what asks for a greeting."""
    made = []
    if opening.messages and settings.history == "turns" and not resumed:
        turns = _turns(opening.messages)
        if turns and turns[-1]["role"] != "user":
            turns.append(_turn("user", _OPENS_TURN))
        made.append(client_content(turns, is_complete=True))
    if opening.greeting:
        wish = (
            "(The caller is on the line. Say exactly these words to the caller now, and nothing"
            f" else: {opening.greeting})"
        )
        made += texts(settings, [UserMessage(wish)], answer=True)
    return made


def texts(settings: Settings, messages: Sequence[Message], *, answer: bool) -> list[str]:
    """Build what adds to the conversation in mid-call; results of tools as what they returned."""
    turns = _turns(messages)
    if settings.sends_turns:
        return [client_content(turns, is_complete=answer)] if turns or answer else []
    said = [text if role == "user" else f"(You have said to the caller: {text})"
            for role, text in _said(messages)]  # fmt: skip
    if answer and not said:
        said = ["(Speak now.)"]
    elif not answer:
        said = [f"{text} (This is for your information. Do not answer it.)" for text in said]
    return [_json({"realtimeInput": {"text": text}}) for text in said]


def client_content(turns: Sequence[Json], *, is_complete: bool) -> str:
    """Build a `clientContent`: it ends what the model generates, and starts anew if complete."""
    return _json({"clientContent": {"turns": list(turns), "turnComplete": is_complete}})


def tool_response(
    results: Sequence[tuple[str, ToolResult]], *, is_async: bool, answer: bool
) -> str:
    """Build the answer to calls.

    Args:
        results: each with the id that the server gave the call; empty where it gave none.
        is_async: the functions were declared as `NON_BLOCKING`.
        answer: the model is to speak on; a blocking call is always answered by that.
    """
    responses = []
    for server_id, result in results:
        response: Json = {"name": result.name, "response": _response(result)}
        if server_id:
            response["id"] = server_id
        if is_async:
            response["scheduling"] = "WHEN_IDLE" if answer else "SILENT"
            if result.is_running:
                response["willContinue"] = True
        responses.append(response)
    return _json({"toolResponse": {"functionResponses": responses}})


def instructions_update(instructions: str) -> str:
    """Build the replacement of the instructions in mid-call."""
    return _json({"contextUpdate": {"systemInstruction": {"parts": [{"text": instructions}]}}})


ACTIVITY_START = '{"realtimeInput":{"activityStart":{}}}'
ACTIVITY_END = '{"realtimeInput":{"activityEnd":{}}}'
AUDIO_STREAM_END = '{"realtimeInput":{"audioStreamEnd":true}}'


@dataclass(frozen=True, slots=True)
class AudioMessages:
    """Builds 50 messages a second: only what changes is made anew."""

    rate_hz: int

    def build(self, audio: bytes) -> str:
        """Build the message that carries s16 audio of any length."""
        coded = base64.b64encode(audio).decode("ascii")
        return (
            f'{{"realtimeInput":{{"audio":{{"mimeType":"audio/pcm;rate={self.rate_hz}",'
            f'"data":"{coded}"}}}}}}'
        )


def _generation(settings: Settings) -> Json:
    voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": settings.voice}}}
    speech = _present({
        **(voice if settings.voice else {}),
        "languageCode": settings.language_code or None,
    })  # fmt: skip
    thinking = _present({
        "thinkingLevel": settings.thinking_level and settings.thinking_level.upper(),
        "thinkingBudget": settings.thinking_budget,
    })  # fmt: skip
    return _present({
        "responseModalities": ["AUDIO"],
        "speechConfig": speech or None,
        "temperature": settings.temperature,
        "topP": settings.top_p,
        "maxOutputTokens": settings.max_output_tokens,
        "thinkingConfig": thinking or None,
    })  # fmt: skip


def _input_config(settings: Settings) -> Json | None:
    if settings.turns == "gateway":
        return {"automaticActivityDetection": {"disabled": True}}
    start, end = settings.start_sensitivity, settings.end_sensitivity
    detection = _present({
        "startOfSpeechSensitivity": start and f"START_SENSITIVITY_{start.upper()}",
        "endOfSpeechSensitivity": end and f"END_SENSITIVITY_{end.upper()}",
        "prefixPaddingMs": settings.prefix_padding_ms,
        "silenceDurationMs": settings.silence_ms,
    })  # fmt: skip
    return {"automaticActivityDetection": detection} if detection else None


def _functions(settings: Settings, tools: Sequence[ToolSpec]) -> list[Json]:
    return [
        _present({
            "name": tool.name,
            "description": tool.description,
            "parametersJsonSchema": tool.parameters,
            "behavior": "NON_BLOCKING" if settings.async_tools else None,
        })
        for tool in tools
    ]  # fmt: skip


def _response(result: ToolResult) -> Json:
    """Return what the function gave back as the object that the API wants."""
    try:
        value = json.loads(result.content)
    except (ValueError, RecursionError):
        value = result.content
    if result.is_error:
        is_named = isinstance(value, dict) and "error" in value
        return value if is_named else {"error": value}
    return {"output": value}


def _said(messages: Sequence[Message]) -> list[tuple[Literal["user", "model"], str]]:
    """Return role and words of each message; the API's roles are `user` and `model`."""
    found: list[tuple[Literal["user", "model"], str]] = []
    for message in messages:
        match message:
            case UserMessage(text=text, typed=typed):
                found.append(("user", f"(The caller typed {text}.)" if typed else text))
            case AssistantMessage(text=text, interrupted=interrupted):
                said = text.rstrip(" .,;:") + CUT if interrupted and text.strip() else text
                found.append(("model", said))
            case ToolResult(name=name, content=result, is_running=False):
                found.append(("user", f"(The function {name} returned: {result})"))
    return [(role, text.strip()) for role, text in found if text.strip()]


def _turns(messages: Sequence[Message]) -> list[Json]:
    """Return messages as the API's turns: adjacent ones of one role are parts of one turn."""
    turns: list[Json] = []
    parts: list[Json] = []
    for role, text in _said(messages):
        if not turns or turns[-1]["role"] != role:
            parts = []
            turns.append({"role": role, "parts": parts})
        parts.append({"text": text})
    return turns


def _turn(role: str, text: str) -> Json:
    return {"role": role, "parts": [{"text": text}]}


def _as_text(messages: Sequence[Message]) -> str:
    lines = [f"{'Caller' if role == 'user' else 'You'}: {text}" for role, text in _said(messages)]
    return "\n".join(("This was said in the call so far; go on from there:", *lines))


def _present(values: Json) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
