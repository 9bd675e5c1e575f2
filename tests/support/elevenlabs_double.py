"""ElevenLabs Agents on 127.0.0.1.

The client's first message is judged by the types of the vendor's SDK; what the SDK has no types
for, by its own client (`BaseConversation`), which must understand every event that the double
sends, and by the fields of the vendor's AsyncAPI description (npm `@elevenlabs/types` 0.23).
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, ClassVar
from unittest.mock import MagicMock
from urllib.parse import parse_qs, urlsplit

from elevenlabs.types import ConversationInitiationClientDataRequestInput
from pydantic import TypeAdapter
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from gateway.errors import ProviderRejected, ProviderUnavailable, QuotaExceeded
from gateway.providers.s2s._elevenlabs_settings import FORMATS
from tests.support.engine_double import KEY, Abilities, EngineDouble, Peer, unwrapped, wrapped
from tests.support.speaking_double import Script
from tests.support.vendor_types import Frame, assert_one_of, assert_only_known, old_websockets

with old_websockets():
    from elevenlabs.conversational_ai.conversation import BaseConversation

AGENT = "agent_3701k3ttaq12ewp8b7qv5rfyszkz"
TOKEN = "signature+of/1=="
INITIATION: TypeAdapter[Any] = TypeAdapter(ConversationInitiationClientDataRequestInput)
WHOLE, TEXT, THING = int, str, dict
SENT: dict[str, tuple[str, dict[str, Any]]] = {
    "agent_response": ("agent_response_event", {"agent_response": TEXT, "event_id": WHOLE}),
    "agent_response_complete": ("", {}),
    "agent_response_correction": (
        "agent_response_correction_event",
        {"original_agent_response": TEXT, "corrected_agent_response": TEXT, "event_id": WHOLE},
    ),
    "audio": ("audio_event", {"audio_base_64": TEXT, "event_id": WHOLE}),
    "client_tool_call": (
        "client_tool_call",
        {"tool_name": TEXT, "tool_call_id": TEXT, "parameters": THING, "event_id": WHOLE},
    ),
    "conversation_initiation_metadata": (
        "conversation_initiation_metadata_event",
        {"conversation_id": TEXT, "agent_output_audio_format": TEXT,
         "user_input_audio_format": TEXT},
    ),
    "error": ("error_event", {"code": WHOLE}),
    "guardrail_triggered": ("", {}),
    "interruption": ("interruption_event", {"event_id": WHOLE}),
    "ping": ("ping_event", {"event_id": WHOLE, "ping_ms": WHOLE}),
    "tentative_user_transcript": (
        "tentative_user_transcription_event", {"user_transcript": TEXT, "event_id": WHOLE},
    ),
    "user_transcript": ("user_transcription_event", {"user_transcript": TEXT, "event_id": WHOLE}),
    "vad_score": ("vad_score_event", {"vad_score": float}),
}  # fmt: skip
"""Type -> the field that holds it, and the fields that must be there."""
OPTIONAL = {"alignment", "message", "error_type", "reason"}
RECEIVED: dict[str, dict[str, Any]] = {
    "client_tool_result": {"tool_call_id": TEXT, "result": TEXT, "is_error": bool},
    "contextual_update": {"text": TEXT},
    "pong": {"event_id": WHOLE},
    "user_activity": {},
    "user_message": {"text": TEXT},
}


class ElevenLabsPeer(Peer):
    GOES_ON_WITH_RESULTS = True
    TELLS_BY = "replies"
    number = 0
    """Of the latest event."""

    def __init__(self, double: EngineDouble, connection: ServerConnection) -> None:
        super().__init__(double, connection)
        assert isinstance(double, ElevenLabsDouble)
        self.agent = double
        self.output_format = FORMATS.get(double.output, FORMATS["ulaw_8000"])
        self.tools = ["opening_hours"]  # the agent's configuration names them
        self.pongs: list[int] = []
        self.override: Frame = {}
        self._words = ""
        self._client = BaseConversation.__new__(BaseConversation)
        self._client._last_interrupt_id = 0
        self._client._conversation_id = None

    async def read(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self.refuse("binary, where the protocol has only text")
            return
        event = json.loads(frame)
        if list(event) == ["user_audio_chunk"]:
            if not self.is_ready:
                self.refuse("audio before the conversation began")
            self.heard += unwrapped(event["user_audio_chunk"])
            return
        kind = event.pop("type")
        if kind == "conversation_initiation_client_data":
            await self._begins(event)
            return
        if kind not in RECEIVED:
            self.refuse(f"unknown message {kind!r}")
            return
        _check(event, RECEIVED[kind], kind)
        await getattr(self, f"_{kind}")(event)

    async def _begins(self, event: Frame) -> None:
        found = INITIATION.validate_python(event)
        assert_only_known(found)
        self.override = event["conversation_config_override"]
        agent = self.override.get("agent", {})
        self.instructions = agent.get("prompt", {}).get("prompt", "")
        self.greeting = agent.get("first_message", "")
        self.language = agent.get("language", "")
        if self.agent.input in FORMATS:
            self.input_format = FORMATS[self.agent.input]
        self.is_ready = True
        await self.event("conversation_initiation_metadata",
                         conversation_id="conv_1", agent_output_audio_format=self.agent.output,
                         user_input_audio_format=self.agent.input)  # fmt: skip

    async def _client_tool_result(self, event: Frame) -> None:
        self.results.append((event["tool_call_id"], event["result"]))

    async def _contextual_update(self, event: Frame) -> None:
        text = event["text"]
        if text.startswith("The conversation so far"):
            lines = [line.partition(": ") for line in text.splitlines()]
            self.history += [(role, said) for role, _, said in lines if role in {"Caller", "You"}]
            return
        self.told.append(("context", text))
        self.instructions += f"\n{text}"

    async def _pong(self, event: Frame) -> None:
        self.pongs.append(event["event_id"])

    async def _user_activity(self, _: Frame) -> None:
        self.told.append(("control", "active"))

    async def _user_message(self, event: Frame) -> None:
        self.told.append(("user", event["text"]))
        self.answers_asked += 1

    async def event(self, kind: str, **fields: object) -> None:
        """Send an event with its fields where the protocol has them."""
        place, _ = SENT[kind]
        await self.send_event({"type": kind, **({place: fields} if place else fields)})

    async def caller_starts(self, at_ms: int) -> None:
        await self.event("interruption", event_id=self.number)

    async def caller_ends(self, at_ms: int) -> None:
        """The protocol reports it with the text only."""

    async def caller_says(self, text: str, *, is_final: bool) -> None:
        kind = "user_transcript" if is_final else "tentative_user_transcript"
        await self.event(kind, user_transcript=text, event_id=self.number)

    async def begin(self, reply_id: str) -> None:
        self.number += 1
        self._words = ""

    async def sound(self, reply_id: str, audio: bytes) -> None:
        if self.agent.counts_pieces:
            self.number += 1
        await self.event("audio", audio_base_64=wrapped(audio), event_id=self.number)

    async def words(self, reply_id: str, text: str) -> None:
        self._words += text
        if self.partner is not None:
            await self._tell_words()

    async def finish(self, reply_id: str, end: str = "complete") -> None:
        await self._tell_words()
        if self.agent.reports_ends:
            await self.event("agent_response_complete")

    async def _tell_words(self) -> None:
        if self._words:
            await self.event("agent_response", agent_response=self._words, event_id=self.number)
            self._words = ""

    async def ask(self, reply_id: str, call_id: str, name: str, arguments: str) -> None:
        try:
            parameters = json.loads(arguments)
        except ValueError:
            raise NotImplementedError from None
        await self.event("client_tool_call", tool_name=name, tool_call_id=call_id,
                         parameters=parameters, event_id=self.number)  # fmt: skip

    async def error(self, problem: str) -> None:
        if problem == "minor":
            await self.event("guardrail_triggered")
            return
        message = f"The {problem} cannot be used (key {KEY})."
        await self.event("error", code=1008, message=message)

    async def limit_close(self) -> None:
        told = {"error_type": "max_duration_exceeded", "message": "Too long."}
        await self.event("error", code=1000, **told)
        await self.connection.close(1000)

    async def unknown(self) -> None:
        await self.send(json.dumps({"type": "something_new", "something_new_event": {}}))

    async def garbage_audio(self, reply_id: str) -> None:
        await self.event("audio", audio_base_64="%%", event_id=self.number)

    def checked(self, event: dict[str, Any]) -> None:
        place, wanted = SENT[event["type"]]
        fields = event[place] if place else {n: v for n, v in event.items() if n != "type"}
        _check({name: value for name, value in fields.items() if name not in OPTIONAL},
               wanted, event["type"])  # fmt: skip
        if fields.get("audio_base_64") != "%%":
            self._client._handle_message_core(event, _handler())


class ElevenLabsDouble(EngineDouble):
    """`input` and `output` are the agent's formats, as they are set at the vendor."""

    PEER: ClassVar[type[Peer]] = ElevenLabsPeer
    PATH: ClassVar[str] = "/v1"
    ABILITIES: ClassVar[Abilities] = Abilities(
        passes=("pcmu",),
        has_marks=False,
        hears_of_cuts=False,
        hears_of_positions=False,
        takes_eagerness=False,
        has_usage=False,
        has_ends=False,
        errors={"quota": QuotaExceeded, "key": ProviderRejected, "model": ProviderRejected},
        limit=ProviderUnavailable,
    )

    def __init__(self, script: Script | None = None) -> None:
        super().__init__(script)
        self.input = self.output = "ulaw_8000"
        self.reports_ends = True
        """The agent's client events contain `agent_response_complete`."""
        self.counts_pieces = False
        """Each piece of sound has a number of its own."""
        self.signs = True

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "agent_id": AGENT}

    def knows(self, request: Request) -> bool:
        url = urlsplit(request.path)
        query = parse_qs(url.query)
        if query.get("agent_id") != [AGENT]:
            return False
        if url.path == "/v1/convai/conversation/get-signed-url":
            return request.headers.get("xi-api-key") == KEY
        is_signed = query.get("conversation_signature") == [TOKEN] or not self.signs
        return url.path == "/v1/convai/conversation" and is_signed

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        refusal = await super()._judge(connection, request)
        if refusal is None and urlsplit(request.path).path.endswith("/get-signed-url"):
            signature = TOKEN.replace("+", "%2B")
            url = f"{self.url}/convai/conversation?agent_id={AGENT}"
            answer = {"signed_url": f"{url}&conversation_signature={signature}"}
            return connection.respond(HTTPStatus.OK, json.dumps(answer))
        return refusal


def _check(fields: Frame, wanted: dict[str, Any], kind: str) -> None:
    assert_one_of((kind, sorted(fields)), (kind, sorted(wanted)))
    for name, value in fields.items():
        if not isinstance(value, wanted[name]):
            raise TypeError(f"{kind}.{name} is {type(value).__name__}")


def _handler() -> MagicMock:
    return MagicMock(handle_client_tool_call=MagicMock())
