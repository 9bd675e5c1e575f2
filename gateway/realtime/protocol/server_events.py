"""What we send: one function for each event, with all the fields that clients require.

`event_id` is added when an event is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.realtime.protocol.errors import ProtocolError

ServerEvent = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a response something belongs."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int = 0

    def of(self, kind: str, **more: object) -> ServerEvent:
        """Return an event about this part of the response."""
        return {"type": kind, "response_id": self.response_id, "item_id": self.item_id,
                "output_index": self.output_index, "content_index": self.content_index,
                **more}  # fmt: skip


# --- session -----------------------------------------------------------------------------------


def session_created(session: Mapping[str, Any]) -> ServerEvent:
    """The first event of a session."""
    return {"type": "session.created", "session": dict(session)}


def session_updated(session: Mapping[str, Any]) -> ServerEvent:
    """The whole session as it is set now."""
    return {"type": "session.updated", "session": dict(session)}


def conversation_created(conversation_id: str) -> ServerEvent:
    """The one conversation of a session."""
    conversation = {"id": conversation_id, "object": "realtime.conversation"}
    return {"type": "conversation.created", "conversation": conversation}


def error(problem: ProtocolError) -> ServerEvent:
    """A client's event was not done, or something of ours failed."""
    return {
        "type": "error",
        "error": {
            "type": problem.kind, "code": problem.code, "message": problem.message,
            "param": problem.param, "event_id": problem.event_id,
        },
    }  # fmt: skip


# --- items -------------------------------------------------------------------------------------


def item_added(item: Mapping[str, Any], previous_item_id: str | None) -> ServerEvent:
    """An item is in the conversation; more of it may follow."""
    return {"type": "conversation.item.added", "previous_item_id": previous_item_id,
            "item": dict(item)}  # fmt: skip


def item_done(item: Mapping[str, Any], previous_item_id: str | None) -> ServerEvent:
    """An item is as it will be."""
    return {"type": "conversation.item.done", "previous_item_id": previous_item_id,
            "item": dict(item)}  # fmt: skip


def item_retrieved(item: Mapping[str, Any]) -> ServerEvent:
    """An item as we have it."""
    return {"type": "conversation.item.retrieved", "item": dict(item)}


def item_deleted(item_id: str) -> ServerEvent:
    """An item is gone."""
    return {"type": "conversation.item.deleted", "item_id": item_id}


def item_truncated(item_id: str, content_index: int, audio_end_ms: int) -> ServerEvent:
    """Only the beginning of an item counts."""
    return {"type": "conversation.item.truncated", "item_id": item_id,
            "content_index": content_index, "audio_end_ms": audio_end_ms}  # fmt: skip


def transcription_delta(item_id: str, delta: str) -> ServerEvent:
    """A part of what was understood."""
    return {"type": "conversation.item.input_audio_transcription.delta", "item_id": item_id,
            "content_index": 0, "delta": delta}  # fmt: skip


def transcription_completed(item_id: str, transcript: str, seconds: float) -> ServerEvent:
    """All that was understood of an item, and how much audio that was."""
    usage = {"type": "duration", "seconds": round(seconds, 3)}
    return {"type": "conversation.item.input_audio_transcription.completed", "item_id": item_id,
            "content_index": 0, "transcript": transcript, "usage": usage}  # fmt: skip


def transcription_failed(item_id: str, message: str) -> ServerEvent:
    """Recognition has failed."""
    problem = {"type": "server_error", "code": "transcription_failed", "message": message,
               "param": None}  # fmt: skip
    return {"type": "conversation.item.input_audio_transcription.failed", "item_id": item_id,
            "content_index": 0, "error": problem}  # fmt: skip


# --- the caller's audio ------------------------------------------------------------------------


def speech_started(item_id: str, audio_start_ms: int) -> ServerEvent:
    """The caller speaks."""
    return {"type": "input_audio_buffer.speech_started", "item_id": item_id,
            "audio_start_ms": audio_start_ms}  # fmt: skip


def speech_stopped(item_id: str, audio_end_ms: int) -> ServerEvent:
    """The caller's turn is over."""
    return {"type": "input_audio_buffer.speech_stopped", "item_id": item_id,
            "audio_end_ms": audio_end_ms}  # fmt: skip


def committed(item_id: str, previous_item_id: str | None) -> ServerEvent:
    """The audio so far is an item."""
    return {"type": "input_audio_buffer.committed", "item_id": item_id,
            "previous_item_id": previous_item_id}  # fmt: skip


def cleared() -> ServerEvent:
    """The audio so far is forgotten."""
    return {"type": "input_audio_buffer.cleared"}


def timeout_triggered(item_id: str, start_ms: int, end_ms: int) -> ServerEvent:
    """The caller has said nothing for `idle_timeout_ms`."""
    return {"type": "input_audio_buffer.timeout_triggered", "item_id": item_id,
            "audio_start_ms": start_ms, "audio_end_ms": end_ms}  # fmt: skip


# --- responses ---------------------------------------------------------------------------------


def response_created(response: Mapping[str, Any]) -> ServerEvent:
    """An answer begins."""
    return {"type": "response.created", "response": dict(response)}


def response_done(response: Mapping[str, Any]) -> ServerEvent:
    """An answer is over; it is whole but for its audio."""
    return {"type": "response.done", "response": dict(response)}


def output_item(
    step: str, response_id: str, output_index: int, item: Mapping[str, Any]
) -> ServerEvent:
    """An item of an answer begins (`added`) or is over (`done`)."""
    return {"type": f"response.output_item.{step}", "response_id": response_id,
            "output_index": output_index, "item": dict(item)}  # fmt: skip


def content_part(step: str, place: Place, part: Mapping[str, Any]) -> ServerEvent:
    """A part of an item begins (`added`) or is over (`done`)."""
    return place.of(f"response.content_part.{step}", part=dict(part))


def audio_delta(place: Place, audio: str) -> ServerEvent:
    """Audio, base64, in the session's output format."""
    return place.of("response.output_audio.delta", delta=audio)


def audio_done(place: Place) -> ServerEvent:
    """There is no more audio of this part."""
    return place.of("response.output_audio.done")


def transcript_delta(place: Place, delta: str) -> ServerEvent:
    """Words of what is spoken."""
    return place.of("response.output_audio_transcript.delta", delta=delta)


def transcript_done(place: Place, transcript: str) -> ServerEvent:
    """All words of what was spoken."""
    return place.of("response.output_audio_transcript.done", transcript=transcript)


def text_delta(place: Place, delta: str) -> ServerEvent:
    """Words of what is written."""
    return place.of("response.output_text.delta", delta=delta)


def text_done(place: Place, text: str) -> ServerEvent:
    """All words of what was written."""
    return place.of("response.output_text.done", text=text)


def arguments_delta(place: Place, call_id: str, delta: str) -> ServerEvent:
    """A part of a function's arguments."""
    event = place.of("response.function_call_arguments.delta", call_id=call_id, delta=delta)
    del event["content_index"]
    return event


def arguments_done(place: Place, call_id: str, name: str, arguments: str) -> ServerEvent:
    """A function's arguments: the client is to run it."""
    event = place.of(
        "response.function_call_arguments.done", call_id=call_id, name=name, arguments=arguments
    )
    del event["content_index"]
    return event


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit and what is left of it."""

    name: str
    limit: int
    remaining: int
    reset_seconds: float


def rate_limits(limits: Sequence[Limit]) -> ServerEvent:
    """What is left of the limits of this session."""
    told = [
        {"name": one.name, "limit": one.limit, "remaining": max(0, one.remaining),
         "reset_seconds": one.reset_seconds}
        for one in limits
    ]  # fmt: skip
    return {"type": "rate_limits.updated", "rate_limits": told}
