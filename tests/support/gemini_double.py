"""A double of Gemini Live: every frame of both sides is checked by google-genai's own types."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from google.genai import types
from pydantic import ValidationError
from websockets.http11 import Request

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderRejected, QuotaExceeded
from tests.support.engine_double import KEY, Abilities, EngineDouble, Peer, unwrapped, wrapped

MODEL = "gemini-2.5-flash-native-audio-latest"
LATER_MODEL = "gemini-3.1-flash-live-preview"
VOICES = {"Puck", "Kore"}
CLOSES = {
    "quota": (1011, "You exceeded your current quota, please check your plan and billing details."),
    "key": (1007, "API key not valid. Please pass a valid API key."),
    "model": (1008, "models/none is not found for API version v1beta: unknown model"),
    "voice": (1007, "Requested voice api_name 'none' is not available for model"),
    "handle": (1008, "BidiGenerateContent session not found"),
}
ENDS = {
    "complete": {"turnComplete": True},
    "interrupted": {"turnComplete": True},
    "incomplete": {"turnComplete": True, "turnCompleteReason": "GENERATED_CONTENT_SAFETY"},
    "failed": {"turnComplete": True, "turnCompleteReason": "MALFORMED_FUNCTION_CALL"},
}
for _kind in (types.LiveServerMessage, types.LiveClientMessage, types.RealtimeInputConfig):
    _kind.model_validate_json("{}")  # what it builds at its first use takes half a second


def camel(key: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), key)


def snake(key: str) -> str:
    return re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), key)


class GeminiPeer(Peer):
    double: GeminiDouble

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.input_format = AudioFormat(16_000)
        self.output_format = AudioFormat(24_000)
        self.setup: dict[str, Any] = {}
        self.handle: str | None = None
        """Of the session that the client wants to go on."""
        self.responses: list[dict[str, Any]] = []
        self.wants_history = False
        self.activities: list[str] = []
        self.pauses = 0
        self._detects = True
        self._turn_text = ""
        self._pending: set[str] = set()

    # --- what the client sends --------------------------------------------------------------------

    async def read(self, frame: str | bytes) -> None:
        message = parsed_by_vendor(frame)
        ((kind, content),) = message.items()
        if not self.setup and kind != "setup":
            self.refuse(f"{kind} before the setup")
        match kind:
            case "setup":
                await self._set_up(content)
            case "clientContent":
                self._add(content)
            case "realtimeInput":
                await self._input(content)
            case "toolResponse":
                for response in content["functionResponses"]:
                    self._result(response)
            case "contextUpdate":
                self.instructions = text_of(content["systemInstruction"])

    async def _set_up(self, setup: dict[str, Any]) -> None:
        if self.setup:
            self.refuse("a second setup")
        self.setup = setup
        self.handle = setup.get("sessionResumption", {}).get("handle")
        generation = setup["generationConfig"]
        speech = generation.get("speechConfig", {})
        voice = speech.get("voiceConfig", {}).get("prebuiltVoiceConfig", {}).get("voiceName")
        wrong = {
            "model": setup["model"] not in {f"models/{MODEL}", f"models/{LATER_MODEL}"},
            "voice": voice and voice not in VOICES,
            "handle": self.handle and self.handle not in self.double.handles,
        }
        if any(wrong.values()):
            await self.error(next(name for name, is_wrong in wrong.items() if is_wrong))
            return
        assert generation["responseModalities"] == ["AUDIO"]
        self.instructions = text_of(setup.get("systemInstruction", {"parts": []}))
        self.tools = [
            function["name"]
            for tool in setup.get("tools", ())
            for function in tool["functionDeclarations"]
        ]
        self.language = speech.get("languageCode", "")
        self.wants_history = "historyConfig" in setup
        detection = setup.get("realtimeInputConfig", {}).get("automaticActivityDetection", {})
        self._detects = not detection.get("disabled", False)
        for event in self.double.before_setup:
            await self.send_event(event)
        await self.send_event({"setupComplete": {"sessionId": "s1"}})
        self.is_ready = True

    def _add(self, content: dict[str, Any]) -> None:
        turns = [(turn["role"], text_of(turn)) for turn in content.get("turns", ())]
        if self.wants_history:
            if turns and turns[-1][0] != "user":
                self.refuse("a history that does not end with a turn of the user")
            self.history += [(role.replace("model", "assistant"), text) for role, text in turns]
            self.wants_history = not content["turnComplete"]
            return
        if self.setup["model"].endswith(LATER_MODEL):
            self.refuse("this model takes clientContent only as its first history")
        for role, text in turns:
            self._told(role, text)
        self.answers_asked += bool(content["turnComplete"])

    def _told(self, role: str, text: str) -> None:
        if "Say exactly these words" in text:
            self.greeting = text
        else:
            self.told.append((role.replace("model", "assistant"), text))

    async def _input(self, content: dict[str, Any]) -> None:
        ((kind, value),) = content.items()
        match kind:
            case "audio":
                rate = re.fullmatch(r"audio/pcm;rate=(\d+)", value["mimeType"])
                assert rate, value["mimeType"]
                self.input_format = AudioFormat(int(rate[1]))
                if not self._detects and self.activities[-1:] != ["start"]:
                    self.refuse("audio outside of an activity")
                self.heard += unwrapped(value["data"])
            case "text":
                self._told("user", value)
                self.answers_asked += "Do not answer" not in value
            case "audioStreamEnd":
                self.pauses += 1
                if not self._detects:
                    self.refuse("audioStreamEnd without automatic activity detection")
            case "activityStart" | "activityEnd":
                if self._detects:
                    self.refuse(f"{kind} in spite of automatic activity detection")
                if (kind == "activityEnd") != (self.activities[-1:] == ["start"]):
                    self.refuse(f"{kind} out of order")
                self.activities.append(kind.removeprefix("activity").lower())
                if kind == "activityEnd":
                    self.commits += 1
                    self.answers_asked += 1

    def _result(self, response: dict[str, Any]) -> None:
        self.responses.append(response)
        if response.get("id") not in self._pending:
            self.refuse(f"a result without a call: {response}")
        if not response.get("willContinue"):
            self._pending.discard(response["id"])
        self.results.append((response["id"], json.dumps(response["response"])))

    # --- what the server sends --------------------------------------------------------------------

    def checked(self, event: dict[str, Any]) -> None:
        types.LiveServerMessage.model_validate_json(json.dumps(event))

    async def send_event(self, event: dict[str, Any]) -> None:
        self.checked(event)
        await self.send_raw(event)

    async def send_raw(self, event: dict[str, Any]) -> None:
        """Send in the spelling and kind of frame of the double, which the real one mixes."""
        if self.double.is_snake:
            await self.send(json.dumps(spelled(event, snake)))
        else:
            await self.send(json.dumps(event).encode())

    async def content(self, **fields: Any) -> None:
        await self.send_event({"serverContent": fields})

    async def caller_starts(self, at_ms: int) -> None:
        await self._activity("ACTIVITY_START", at_ms)

    async def caller_ends(self, at_ms: int) -> None:
        await self._activity("ACTIVITY_END", at_ms)

    async def _activity(self, kind: str, at_ms: int) -> None:
        activity = {"voiceActivityType": kind, "audioOffset": f"{at_ms / 1000:g}s"}
        await self.send_event({"voiceActivity": activity})

    async def caller_says(self, text: str, *, is_final: bool) -> None:
        piece = text.removeprefix(self._turn_text)
        self._turn_text = "" if is_final else text
        finished = {"finished": True} if is_final else {}
        await self.content(inputTranscription={"text": piece, **finished})

    async def begin(self, reply_id: str) -> None:
        """Do nothing: a reply begins with its first part."""

    async def sound(self, reply_id: str, audio: bytes) -> None:
        blob = {"mimeType": "audio/pcm;rate=24000", "data": wrapped(audio)}
        await self.content(modelTurn={"role": "model", "parts": [{"inlineData": blob}]})

    async def words(self, reply_id: str, text: str) -> None:
        await self.content(outputTranscription={"text": text})

    async def finish(self, reply_id: str, end: str = "complete") -> None:
        if end == "complete":
            await self.content(generationComplete=True)
        elif end == "interrupted":
            await self.content(interrupted=True)
        await self.content(**ENDS[end])

    async def ask(self, reply_id: str, call_id: str, name: str, arguments: str) -> None:
        try:
            values = json.loads(arguments)
        except ValueError:
            raise NotImplementedError from None
        self._pending.add(call_id)
        call = {"id": call_id, "name": name, "args": values}
        await self.send_event({"toolCall": {"functionCalls": [call]}})

    async def withdraw(self, call_ids: list[str]) -> None:
        self._pending.difference_update(call_ids)
        await self.send_event({"toolCallCancellation": {"ids": call_ids}})

    async def spend(self, input_tokens: int, output_tokens: int, audio_s: float) -> None:
        usage = {
            "promptTokenCount": input_tokens,
            "responseTokenCount": output_tokens,
            "totalTokenCount": input_tokens + output_tokens,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": input_tokens}],
        }
        await self.send_event({"usageMetadata": usage})

    async def expire(self, in_s: int) -> None:
        await self.send_event({"goAway": {"timeLeft": f"{in_s}s"}})

    async def resumable(self, handle: str) -> None:
        self.double.handles.add(handle)
        update = {"newHandle": handle, "resumable": True}
        await self.send_event({"sessionResumptionUpdate": update})

    async def error(self, problem: str) -> None:
        await self.connection.close(*CLOSES[problem])

    async def unknown(self) -> None:
        await self.send_raw({"somethingNew": {"of": "next year"}})

    async def garbage_audio(self, reply_id: str) -> None:
        blob = {"mimeType": "audio/pcm;rate=24000", "data": "!!! this is not base64 !!!"}
        parts = [{"inlineData": blob}]
        await self.send_raw({"serverContent": {"modelTurn": {"parts": parts}}})

    async def limit_close(self) -> None:
        await self.connection.close(1011, "The session has reached its longest duration")


class GeminiDouble(EngineDouble):
    PEER: ClassVar[type[Peer]] = GeminiPeer
    ABILITIES: ClassVar[Abilities] = Abilities(
        passes=(),
        hears_of_cuts=False,
        hears_of_positions=False,
        takes_eagerness=False,
        withdraws=True,
        gateway_turns={"turns": "gateway"},
        errors={
            "quota": QuotaExceeded,
            "key": ProviderRejected,
            "model": ProviderRejected,
        },
        has_minor_errors=False,
    )
    is_snake: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.handles: set[str] = set()
        """Of sessions that can go on."""
        self.before_setup: list[dict[str, Any]] = []
        """Sent before the setup is accepted."""

    def knows(self, request: Request) -> bool:
        return request.headers.get("x-goog-api-key") == KEY


class SnakeGeminiDouble(GeminiDouble):
    """Spells its keys the other way, as the vendor's own client does, in text frames."""

    is_snake = True


def parsed_by_vendor(frame: str | bytes) -> dict[str, Any]:
    """Return a client's message in camelCase.

    Raises:
        AssertionError: the vendor's types do not know it.
    """
    message: dict[str, Any] = spelled(json.loads(frame), camel)
    rest = {name: dict(value) for name, value in message.items()}
    detection = rest.get("setup", {}).pop("realtimeInputConfig", {})
    try:  # the type of the setup lacks a field that its own client sends
        types.RealtimeInputConfig.model_validate_json(json.dumps(detection))
        types.LiveClientMessage.model_validate_json(json.dumps(rest))
    except ValidationError as error:
        raise AssertionError(f"{frame!r:.300}: {error}") from error
    return message


def spelled(value: Any, spell: Any) -> Any:
    """Spell all keys but those of functions' arguments, results and schemas."""
    if isinstance(value, dict):
        own = {"args", "response", "parametersJsonSchema", "parameters_json_schema"}
        return {
            spell(key): part if key in own else spelled(part, spell) for key, part in value.items()
        }
    return [spelled(part, spell) for part in value] if isinstance(value, list) else value


def text_of(content: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in content["parts"])
