"""RealtimeSession: one session of the protocol as a state machine.  No I/O, no clock of its own.

Client events come in by `receive`, what happens in the call by the methods of the class;
server events go out by `send`, requests to the conversation by `CallPort`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.call.steering import (
    Answer,
    AnswerAside,
    AnswerRequest,
    BotTurnEnd,
    CancelAnswer,
    CancelAside,
    ClearTurn,
    CommitTurn,
    MessagesAdded,
)
from gateway.providers.contracts import ToolCall, UserMessage
from gateway.realtime.history import History
from gateway.realtime.input_buffer import InputBuffer
from gateway.realtime.item_edits import ItemEdits
from gateway.realtime.ports import CallPort, SessionFacts, specs
from gateway.realtime.protocol import client_events as into
from gateway.realtime.protocol import server_events as out
from gateway.realtime.protocol.errors import ProtocolError
from gateway.realtime.protocol.items import decoded, read_item
from gateway.realtime.protocol.server_events import ServerEvent
from gateway.realtime.protocol.settings import FunctionTool, SessionSettings, updated, wire
from gateway.realtime.responses import Response, Terms

MOST_APPEND_BYTES = 15 * 1024 * 1024
_SILENT_CALLER = UserMessage("...")


class RealtimeSession:
    """The state of one session."""

    def __init__(
        self,
        facts: SessionFacts,
        call: CallPort,
        send: Callable[[ServerEvent], None],
        new_id: Callable[[str], str],
    ) -> None:
        """Prepare; `begin` sends the first events.

        Args:
            facts: of the session.
            call: behind it.
            send: takes server events, `event_id` included.
            new_id: makes an id that begins with a word.
        """
        self._facts = facts
        self._call = call
        self._send_event = send
        self._new_id = new_id
        self._numbers = itertools.count(1)
        self.settings = SessionSettings()
        self.conversation_id = new_id("conv")
        self.history = History()
        self.buffer = InputBuffer(self._send, new_id, self.history)
        self._items = ItemEdits(self._send, new_id, self.history, call.ask)
        self.active: Response | None = None
        """In the conversation; being asked for, thought or spoken."""
        self._asides: dict[str, Response] = {}
        self._has_answered = False
        self._idle_since_s: float | None = None

    def begin(self, settings: SessionSettings | None = None) -> None:
        """Send the first events.

        Args:
            settings: of a client secret, a call that is accepted; None = the defaults.
        """
        wanted = settings or self.settings
        self.settings = self._call.configure(wanted, is_first=True)
        self.buffer.transcribes = self.settings.audio.input.transcription is not None
        self._send(out.session_created(self.shown()))
        self._send(out.conversation_created(self.conversation_id))

    def shown(self) -> dict[str, Any]:
        """Return the session as the protocol has it."""
        facts = self._facts
        head = {"object": "realtime.session", "id": facts.id, "model": facts.model,
                "expires_at": facts.expires_at}  # fmt: skip
        if self.settings.type == "transcription":
            head = {"object": "realtime.transcription_session", "id": facts.id,
                    "expires_at": facts.expires_at}  # fmt: skip
        return head | wire(self.settings)

    def _send(self, event: ServerEvent) -> None:
        self._send_event(
            {"event_id": f"event_{self._facts.id[5:13]}{next(self._numbers)}", **event}
        )

    def refuse(self, problem: ProtocolError) -> None:
        """Tell the client of an error."""
        self._send(out.error(problem))

    # --- what the client sends ---

    def receive(self, frame: str | bytes) -> None:
        """Do what a frame asks for, or answer it with an error."""
        try:
            self.accept(into.read_frame(frame))
        except ProtocolError as problem:
            self.refuse(problem)

    def accept(self, found: Mapping[str, Any]) -> None:
        """Do the same for a JSON object.  Errors are answered."""
        try:
            event = into.read_event(dict(found))
        except ProtocolError as problem:
            self.refuse(problem)
            return
        try:
            self._do(event)
        except ProtocolError as problem:
            problem.event_id = problem.event_id or event.event_id
            self.refuse(problem)

    def _do(self, event: into.AnyClientEvent) -> None:
        match event:
            case into.AudioAppend():
                self._append(event)
            case into.SessionUpdate():
                self._update(event)
            case into.AudioCommit():
                self.buffer.commit()
                self._call.ask(CommitTurn())
            case into.AudioClear():
                self.buffer.clear()
                self._call.ask(ClearTurn())
            case into.OutputClear():
                text = "The output audio buffer is the client's own on this transport."
                raise ProtocolError(text, "output_audio_buffer_not_supported", "type")
            case into.ItemCreate() | into.ItemRetrieve() | into.ItemDelete() | into.ItemTruncate():
                self._items.do(event, self.active)
            case into.ResponseCreate():
                self._create_response(event.response or into.ResponseParams())
            case into.ResponseCancel():
                self._cancel_response(event)

    def _append(self, event: into.AudioAppend) -> None:
        if len(event.audio) > MOST_APPEND_BYTES * 4 // 3 + 4:
            text = "Invalid 'audio': at most 15 MiB in one event."
            raise ProtocolError(text, "input_audio_buffer_append_too_large", "audio")
        audio = decoded(event.audio, "audio")
        if not audio:
            return
        self.buffer.appended(self._call.hear(audio))

    def _update(self, event: into.SessionUpdate) -> None:
        fresh = updated(self.settings, event.session)
        if fresh.audio.output.voice != self.settings.audio.output.voice and self._has_answered:
            text = "Cannot update a conversation's voice if assistant audio is present."
            raise ProtocolError(text, "cannot_update_voice", "session.audio.output.voice")
        before = self.settings
        self.settings = self._call.configure(fresh, is_first=False)
        self.buffer.transcribes = self.settings.audio.input.transcription is not None
        if self.settings.instructions != before.instructions:
            self._items.instruct(self.settings.instructions)
        self._send(out.session_updated(self.shown()))

    # --- responses ---

    def _create_response(self, params: into.ResponseParams) -> None:
        if self.settings.type == "transcription":
            text = "A transcription session has no responses."
            raise ProtocolError(text, "invalid_value", "type")
        is_aside = params.conversation == "none"
        if self.active is not None and not is_aside:
            text = (
                "Conversation already has an active response in progress:"
                f" {self.active.id}. Wait until the response is finished before creating a new one."
            )
            raise ProtocolError(text, "conversation_already_has_active_response")
        request = self._request(params)
        if is_aside and request.speaks:
            text = "A response beside the conversation is text in this version."
            raise ProtocolError(text, "unsupported_modality", "response.output_modalities")
        response = self._new_response(params, is_aside=is_aside)
        if is_aside:
            self._asides[response.id] = response
        else:
            self.active = response
        response.created()
        self._send(out.rate_limits(self._call.limits()))
        asked = AnswerAside(response.id, request) if is_aside else Answer(request)
        self._call.ask(asked)

    def _request(self, params: into.ResponseParams) -> AnswerRequest:
        tools = None
        if params.tools is not None:
            tools = specs([tool for tool in params.tools if isinstance(tool, FunctionTool)])
        choice = params.tool_choice or self.settings.tool_choice
        if choice == "none":
            tools = ()
        elif not isinstance(choice, str):
            known = tools if tools is not None else specs(self.settings.functions)
            tools = tuple(tool for tool in known if tool.name == choice.name)
            if not tools:
                text = f"There is no tool '{choice.name}'."
                raise ProtocolError(text, "invalid_value", "response.tool_choice")
        messages = None
        if params.input is not None:
            messages = tuple(
                message
                for number, given in enumerate(params.input)
                for message in self._input(given, f"response.input[{number}]")
            )
        speaks = None
        if params.output_modalities is not None:
            speaks = "audio" in params.output_modalities
        elif params.conversation == "none":
            speaks = self.settings.speaks
        return AnswerRequest(params.instructions, messages, tools, speaks)

    def _input(self, given: Mapping[str, Any], where: str) -> Sequence[Any]:
        if given.get("type") != "item_reference":
            item = read_item(given, self._new_id("item"), where)
            if item.role == "system" and item.type == "message":
                return (UserMessage(item.text),)
            return self.history.of(item)
        item_id = given.get("id")
        if not isinstance(item_id, str) or self.history.find(item_id) is None:
            text = f"Item with item_id '{item_id}' does not exist."
            raise ProtocolError(text, "item_reference_invalid_item_id", f"{where}.id")
        return self.history.of(self._items.find(item_id, ""))

    def _new_response(self, params: into.ResponseParams, *, is_aside: bool = False) -> Response:
        settings = self.settings
        speaks = settings.speaks
        if params.output_modalities is not None:
            speaks = "audio" in params.output_modalities
        terms = Terms(
            speaks=speaks,
            conversation_id=None if is_aside else self.conversation_id,
            output_format=settings.audio.output.format.model_dump(),
            voice=settings.audio.output.voice,
            max_output_tokens=params.max_output_tokens or settings.max_output_tokens,
            metadata=params.metadata,
        )
        return Response(self._send, self._new_id, self.history, terms)

    def _cancel_response(self, event: into.ResponseCancel) -> None:
        aside = self._asides.get(event.response_id or "")
        if aside is not None:
            self._call.ask(CancelAside(aside.id))
            return
        active = self.active
        if active is None or event.response_id not in (None, active.id):
            text = "Cancellation failed: no active response found"
            raise ProtocolError(text, "response_cancel_not_active", "response_id")
        self._call.ask(CancelAnswer())
        if not active.has_begun:  # else the conversation tells what was heard of it
            self.active = None
            active.done("cancelled", "client_cancelled")

    # --- what happens in the call ---

    def caller_began(self, at_ms: int) -> None:
        """The caller's turn has begun, by its sound."""
        self._idle_since_s = None
        if self.settings.audio.input.turn_detection is not None:
            self.buffer.speech_started(at_ms)

    def caller_ended(self, text: str, end_ms: int) -> None:
        """The caller's turn is over."""
        self.buffer.turn_ended(text, end_ms)

    def caller_discarded(self, end_ms: int, problem: str = "") -> None:
        """It was no turn, or recognition has failed."""
        self.buffer.turn_discarded(end_ms, problem)

    def bot_began(self) -> None:
        """The bot has taken the floor: for the response that was asked for, or by itself."""
        self._idle_since_s = None
        if self.active is None:
            self.active = self._new_response(into.ResponseParams())
            self.active.created()
            self._send(out.rate_limits(self._call.limits()))
        self.active.has_begun = True

    def bot_audio(self, audio: bytes, duration_ms: int) -> None:
        """The bot is heard: audio in the client's output format."""
        if self.active is not None and self.active.has_begun and self.active.terms.speaks:
            self._has_answered = True
            self.active.audio(audio, duration_ms)

    def bot_words(self, text: str) -> None:
        """Words begin to be heard, or are written."""
        if self.active is not None and self.active.has_begun:
            self.active.words(text)

    def bot_calls(self, call: ToolCall) -> None:
        """A function for the client."""
        if self.active is not None:
            self.active.calls([call])

    def spent(self, input_tokens: int, output_tokens: int) -> None:
        """A model was paid."""
        if self.active is not None:
            self.active.tokens[0] += input_tokens
            self.active.tokens[1] += output_tokens

    def bot_ended(self, end: BotTurnEnd) -> None:
        """The bot has given up the floor."""
        response, self.active = self.active, None
        if response is None:
            return
        if end.problem:
            response.done("failed", heard=end.heard, messages=end.messages, problem=end.problem)
        elif end.is_cut:
            by_client = end.cause in ("client", "operator")
            reason = "client_cancelled" if by_client else "turn_detected"
            response.done("cancelled", reason, heard=end.heard, messages=end.messages)
        else:
            response.done("completed", messages=end.messages)

    def aside(self, key: str, text: str, calls: Sequence[ToolCall]) -> None:
        """A part of a response beside the conversation."""
        response = self._asides.get(key)
        if response is not None:
            if text:
                response.raw_text(text)
            response.calls(calls)

    def aside_over(self, key: str, problem: str, *, is_cancelled: bool) -> None:
        """Such a response is over."""
        response = self._asides.pop(key, None)
        if response is None:
            return
        status = "cancelled" if is_cancelled else "failed" if problem else "completed"
        reason = "client_cancelled" if is_cancelled else ""
        response.done(status, reason, problem=problem)  # type: ignore[arg-type]

    # --- time ---

    def pass_time(self, now_s: float, *, is_playing: bool) -> None:
        """Let time pass: a caller who says nothing may be asked.

        Args:
            now_s: monotonic.
            is_playing: the client has not played all yet that it was sent.
        """
        detection = self.settings.audio.input.turn_detection
        limit_ms = getattr(detection, "idle_timeout_ms", None)
        is_busy = self.active is not None or self.buffer.is_speaking or is_playing
        if limit_ms is None or is_busy or not self._has_answered:
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s = now_s
        elif (now_s - self._idle_since_s) * 1000 >= limit_ms:
            end_ms = self._call.position_ms
            self._idle_since_s = None
            self.buffer.silence(max(0, end_ms - limit_ms), end_ms)
            self._call.ask(MessagesAdded((_SILENT_CALLER,)))
            self._create_response(into.ResponseParams())
