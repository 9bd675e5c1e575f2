"""What receivers get: events of calls in the public form of webhooks.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from gateway.call import events
from gateway.config.models import WebhookType
from gateway.http.event_feed import CallNotice
from gateway.records.model import CallRecord, cleaned

MOST_RECORD_BYTES = 1024 * 1024
"""A larger record is not in the event: it is read by the API."""
_TRANSFERS = {
    events.TransferStarted.kind: "started",
    events.Transferred.kind: "confirmed",
    events.TransferFailed.kind: "failed",
    events.TransferOutcome.kind: "outcome",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that receivers are told."""

    type: WebhookType
    at: str
    """When it happened: ISO 8601, UTC."""
    audio_s: float
    """Audio time of the call."""
    data: Mapping[str, Any]


@dataclass(slots=True)
class _Call:
    arguments: dict[str, list[str]] = field(default_factory=dict)
    """Of functions that run: name -> arguments of each."""


class Translator:
    """Turns the feed of all calls into what receivers are told."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}

    def told(self, notice: CallNotice) -> Iterator[Happening]:
        """Yield what follows from an event; of most nothing does."""
        data = notice.data
        match notice.kind:
            case events.CallStarted.kind:
                self._calls[notice.call_id] = _Call()
                yield _happening("call.started", notice, {"call": data["call"]})
            case events.Answered.kind:
                yield _happening("call.answered", notice, {"codec": data.get("codec", "")})
            case events.TurnFinished.kind:
                yield _happening("call.turn", notice, {"turn": data["turn"]})
            case events.ToolCalled.kind:
                self._running(notice).append(str(data.get("arguments", "")))
            case events.ToolDropped.kind:
                self._arguments(notice)
            case events.ToolFinished.kind:
                arguments = {"arguments": self._arguments(notice)}
                yield _happening("call.tool", notice, {**arguments, **data})
            case events.CallRefused.kind:
                yield _happening("call.ended", notice, {"end_reason": "refused", **data})
            case events.CallEnded.kind:
                ended = {"end_reason": data.get("reason", ""), "text": data.get("text", "")}
                yield _happening("call.ended", notice, ended)
            case kind if kind in _TRANSFERS:
                yield _happening("call.transfer", notice, {"state": _TRANSFERS[kind], **data})

    def over(self, call_id: str) -> None:
        """Forget a call."""
        self._calls.pop(call_id, None)

    def _running(self, notice: CallNotice) -> list[str]:
        call = self._calls.setdefault(notice.call_id, _Call())
        return call.arguments.setdefault(str(notice.data.get("tool", "")), [])

    def _arguments(self, notice: CallNotice) -> str:
        running = self._running(notice)
        return running.pop(0) if running else ""


def ended(record: CallRecord) -> Happening:
    """Return the end of a call of which only its record is left."""
    at = record.ended_at or record.started_at
    data = {"end_reason": record.end_reason or "", "text": record.end_text}
    return Happening("call.ended", at.isoformat(), record.audio_s or 0.0, data)


def record_ready(record: CallRecord) -> Happening:
    """Return the news that the record of a call is complete, with the record."""
    at = record.ended_at or record.started_at
    whole = cleaned(record.model_dump(mode="json"))
    is_short = len(to_json(whole)) <= MOST_RECORD_BYTES
    path = f"/v1/calls/{record.call_id}"
    data = {
        "record": whole if is_short else None,
        "record_path": path,
        "audio_path": f"{path}/audio" if record.audio_s else None,
    }
    return Happening("call.record_ready", at.isoformat(), record.audio_s or 0.0, data)


def event_id(call_id: str, happening: Happening, number: int) -> str:
    """Return the id of an event, the same for every attempt and after a restart."""
    if happening.type in ("call.ended", "call.record_ready"):
        return f"{call_id}-{happening.type.removeprefix('call.')}"
    return f"{call_id}-{number}"


def body_of(call_id: str, happening: Happening, number: int) -> bytes:
    """Return the body of a request: JSON on one line."""
    return to_json({
        "id": event_id(call_id, happening, number),
        "type": happening.type,
        "timestamp": happening.at,
        "call_id": call_id,
        "audio_s": round(happening.audio_s, 3),
        "data": happening.data,
    })  # fmt: skip


def _happening(type_: WebhookType, notice: CallNotice, data: Mapping[str, Any]) -> Happening:
    return Happening(type_, notice.at.isoformat(), notice.audio_s, cleaned(dict(data)))
