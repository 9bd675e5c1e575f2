"""Deepgram's Voice Agent on 127.0.0.1; every frame of both sides is judged by deepgram-sdk."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from deepgram.agent.v1 import types as sdk
from pydantic import TypeAdapter
from websockets.http11 import Request

from gateway.audio.format import AudioFormat, Encoding
from gateway.errors import ProviderRejected, ProviderUnavailable
from tests.support.engine_double import KEY, Abilities, EngineDouble, Peer
from tests.support.vendor_types import Frame, assert_one_of, assert_only_known

SENT: dict[str, Any] = {
    "AgentAudioDone": sdk.AgentV1AgentAudioDone,
    "AgentStartedSpeaking": sdk.AgentV1AgentStartedSpeaking,
    "AgentThinking": sdk.AgentV1AgentThinking,
    "ConversationText": sdk.AgentV1ConversationText,
    "Error": sdk.AgentV1Error,
    "FunctionCallCancelled": sdk.AgentV1FunctionCallCancelled,
    "FunctionCallRequest": sdk.AgentV1FunctionCallRequest,
    "FunctionCallResponse": sdk.AgentV1ReceiveFunctionCallResponse,
    "InjectionRefused": sdk.AgentV1InjectionRefused,
    "LatencyReport": sdk.AgentV1LatencyReport,
    "ListenUpdated": sdk.AgentV1ListenUpdated,
    "PromptUpdated": sdk.AgentV1PromptUpdated,
    "SettingsApplied": sdk.AgentV1SettingsApplied,
    "ThinkUpdated": sdk.AgentV1ThinkUpdated,
    "UserStartedSpeaking": sdk.AgentV1UserStartedSpeaking,
    "Warning": sdk.AgentV1Warning,
    "Welcome": sdk.AgentV1Welcome,
}
RECEIVED: dict[str, Any] = {
    "ForceEndTurn": sdk.AgentV1ForceEndTurn,
    "FunctionCallResponse": sdk.AgentV1SendFunctionCallResponse,
    "InjectAgentMessage": sdk.AgentV1InjectAgentMessage,
    "InjectUserMessage": sdk.AgentV1InjectUserMessage,
    "KeepAlive": sdk.AgentV1KeepAlive,
    "Settings": sdk.AgentV1Settings,
    "UpdateListen": sdk.AgentV1UpdateListen,
    "UpdatePrompt": sdk.AgentV1UpdatePrompt,
    "UpdateThink": sdk.AgentV1UpdateThink,
}
ENCODINGS: dict[str, Encoding] = {"linear16": "s16", "mulaw": "pcmu", "alaw": "pcma"}


class DeepgramPeer(Peer):
    GOES_ON_WITH_RESULTS = True
    TELLS_BY = "sentences"

    def detects_turns(self) -> bool:
        return bool(self.listen.get("eot_threshold", 0) < 1.0)

    async def welcome(self) -> None:
        await self.send_event(
            {"type": "Welcome", "request_id": "fc553ec9-5874-49ca-a47c-b670d525a4b3"}
        )

    async def read(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            if not self.is_ready:
                self.refuse("audio before the settings")
            self.heard += frame
            return
        event = json.loads(frame)
        kind = event.get("type")
        if kind not in RECEIVED:
            self.refuse(f"unknown message {kind!r}")
            return
        assert_only_known(TypeAdapter(RECEIVED[kind]).validate_python(event))
        if not self.is_ready and kind != "Settings":
            self.refuse(f"{kind} before the settings")
        await getattr(self, f"_{kind.lower()}")(event)

    async def _settings(self, event: Frame) -> None:
        if self.is_ready:
            self.refuse("settings twice")
        self.input_format = _format(event["audio"]["input"])
        self.output_format = _format(event["audio"]["output"])
        assert_one_of(event["audio"]["output"]["container"], "none")
        agent = event["agent"]
        self.instructions = agent["think"]["prompt"]
        self.tools = [function["name"] for function in agent["think"].get("functions", [])]
        self.listen = agent["listen"]["provider"]
        assert_one_of(self.listen["version"], "v2" if "flux" in self.listen["model"] else "v1")
        self.greeting = agent.get("greeting", "")
        for entry in agent.get("context", {}).get("messages", []):
            for call in entry.get("function_calls", []):
                json.loads(call["arguments"])
                self.history.append(("tool", call["response"]))
            if "content" in entry:
                self.history.append((entry["role"], entry["content"]))
        self.is_ready = True
        await self.send_event({"type": "SettingsApplied"})

    async def _keepalive(self, _: Frame) -> None:
        self.kept_alive = getattr(self, "kept_alive", 0) + 1

    async def _forceendturn(self, _: Frame) -> None:
        if self.listen["version"] != "v2":
            self.refuse("ForceEndTurn needs Flux")
        self.commits += 1
        self.answers_asked += 1

    async def _functioncallresponse(self, event: Frame) -> None:
        self.results.append((event["id"], event["content"]))

    async def _injectagentmessage(self, event: Frame) -> None:
        assert_one_of(event["behavior"], "default", "queue", "interrupt")
        self.told.append(("assistant", event["message"]))
        self.answers_asked += 1

    async def _injectusermessage(self, event: Frame) -> None:
        self.told.append(("user", event["content"]))
        self.answers_asked += 1
        await self.send_event(_text("user", event["content"]))

    async def _updateprompt(self, event: Frame) -> None:
        self.told.append(("system", event["prompt"]))
        self.instructions += f"\n{event['prompt']}"
        await self.send_event({"type": "PromptUpdated"})

    async def _updatethink(self, event: Frame) -> None:
        self.instructions = event["think"]["prompt"]
        self.tools = [function["name"] for function in event["think"].get("functions", [])]
        await self.send_event({"type": "ThinkUpdated"})

    async def _updatelisten(self, event: Frame) -> None:
        provider = event["listen"]["provider"]
        self.eagerness.append(str(provider["eot_threshold"]))
        await self.send_event({"type": "ListenUpdated"})

    async def caller_starts(self, at_ms: int) -> None:
        await self.send_event({"type": "UserStartedSpeaking"})

    async def caller_ends(self, at_ms: int) -> None:
        """The protocol reports it with the text only."""

    async def caller_says(self, text: str, *, is_final: bool) -> None:
        if is_final:
            await self.send_event(_text("user", text))

    async def begin(self, reply_id: str) -> None:
        await self.send_event({"type": "AgentThinking", "content": "I answer."})
        latencies = {"total_latency": 0.9, "tts_latency": 0.2, "ttt_latency": 0.4}
        await self.send_event({"type": "AgentStartedSpeaking", **latencies})

    async def sound(self, reply_id: str, audio: bytes) -> None:
        await self.send(audio)

    async def words(self, reply_id: str, text: str) -> None:
        await self.send_event(_text("assistant", text.strip()))

    async def finish(self, reply_id: str, end: str = "complete") -> None:
        await self.send_event({"type": "AgentAudioDone"})

    async def ask(self, reply_id: str, call_id: str, name: str, arguments: str) -> None:
        call = {"id": call_id, "name": name, "arguments": arguments, "client_side": True}
        own = {**call, "id": f"{call_id}-server", "client_side": False}
        await self.send_event({"type": "FunctionCallRequest", "functions": [own, call]})

    async def withdraw(self, call_ids: list[str]) -> None:
        calls = [{"id": call_id, "name": "x"} for call_id in call_ids]
        await self.send_event({"type": "FunctionCallCancelled", "functions": calls})

    async def error(self, problem: str) -> None:
        if problem == "minor":
            text = {"description": "The prompt was cut.", "code": "PROMPT_TOO_LONG"}
            await self.send_event({"type": "Warning", **text})
            return
        code = dict.fromkeys(("model", "voice"), "INVALID_SETTINGS").get(
            problem, "INTERNAL_SERVER_ERROR"
        )
        text = {"description": f"The {problem} cannot be used (key {KEY}).", "code": code}
        await self.send_event({"type": "Error", **text})

    async def unknown(self) -> None:
        await self.send(json.dumps({"type": "SomethingNew", "content": 1}))

    async def garbage_audio(self, reply_id: str) -> None:
        await self.send("data:audio/mulaw;base64,////")

    async def wrong_kind(self) -> None:
        await self.send("<html>502 Bad Gateway</html>")

    def checked(self, event: dict[str, Any]) -> None:
        assert_only_known(TypeAdapter(SENT[event["type"]]).validate_python(event))
        if "role" in event:
            assert_one_of(event["role"], "user", "assistant")


class DeepgramDouble(EngineDouble):
    PEER: ClassVar[type[Peer]] = DeepgramPeer
    PATH: ClassVar[str] = "/v1"
    ABILITIES: ClassVar[Abilities] = Abilities(
        passes=("pcmu", "pcma", "s16"),
        has_marks=False,
        hears_of_cuts=False,
        hears_of_positions=False,
        has_usage=False,
        withdraws=True,
        has_ends=False,
        gateway_turns={"turns": "gateway"},
        errors={"model": ProviderRejected, "key": ProviderUnavailable},
    )

    def knows(self, request: Request) -> bool:
        is_right = request.path == "/v1/agent/converse"
        return is_right and request.headers.get("Authorization") == f"Token {KEY}"


def _text(role: str, content: str) -> Frame:
    text = {"role": role, "content": content, "conversational_behavior": "default"}
    return {"type": "ConversationText", **text}


def _format(audio: Frame) -> AudioFormat:
    return AudioFormat(audio["sample_rate"], encoding=ENCODINGS[audio["encoding"]])
