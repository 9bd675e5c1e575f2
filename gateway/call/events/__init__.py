"""Events of a call: one frozen dataclass for each kind that `events.jsonl` and the API show.

`kind` is the name on the wire.  Old bundles depend on kinds and fields: a new field needs a
default, and a kind is never renamed.  Positions (`now`, `onset`) are samples of audio time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from gateway.call.events.of_call import (
    Answered,
    CallEnded,
    CallFinished,
    CallLost,
    CallRefused,
    CallStarted,
    DigitsNotSent,
    DigitsSent,
    Held,
    KeyPressed,
    KeysCollected,
    LineIsDead,
    Listening,
    ListeningForTones,
    MediaSourceChanged,
    RecordingPaused,
    RecordingResumed,
    Resumed,
    Routed,
    TransferFailed,
    TransferOutcome,
    Transferred,
    TransferStarted,
    TrunkChanged,
)
from gateway.call.events.of_conversation import (
    AgentChanges,
    AgentStarted,
    BotSays,
    BotStarted,
    EngineBack,
    EngineConnected,
    EngineFailed,
    EngineHears,
    EngineHungUp,
    EngineLost,
    EngineNoted,
    EngineReply,
    EngineRests,
    EngineSwitched,
    HearingStarted,
    HistoryShortened,
    Interrupted,
    LanguageChanges,
    LlmLimitReached,
    RecognizerLost,
    ReplyFinished,
    Say,
    SettingsChanged,
    ToolCalled,
    ToolContinues,
    ToolDropped,
    ToolFinished,
    TurnFinished,
    TurnWaits,
    VoiceMeasured,
    VoiceReported,
)
from gateway.call.events.of_turn_taking import (
    Expects,
    FinalTranscript,
    PartialTranscript,
    TurnInput,
    TurnTakingEnded,
    TurnTakingStarted,
)
from gateway.turn.events import TurnEnded, TurnEvent

__all__ = [
    "CLASSES",
    "FORMER_FIELDS",
    "FOR_REPLAY",
    "AgentChanges",
    "AgentStarted",
    "Answered",
    "BotSays",
    "BotStarted",
    "CallEnded",
    "CallFinished",
    "CallLost",
    "CallRefused",
    "CallStarted",
    "DigitsNotSent",
    "DigitsSent",
    "EngineBack",
    "EngineConnected",
    "EngineFailed",
    "EngineHears",
    "EngineHungUp",
    "EngineLost",
    "EngineNoted",
    "EngineReply",
    "EngineRests",
    "EngineSwitched",
    "Event",
    "Expects",
    "FinalTranscript",
    "HearingStarted",
    "Held",
    "HistoryShortened",
    "Interrupted",
    "KeyPressed",
    "KeysCollected",
    "LanguageChanges",
    "LineIsDead",
    "Listening",
    "ListeningForTones",
    "LlmLimitReached",
    "MediaSourceChanged",
    "OwnEvent",
    "PartialTranscript",
    "RecognizerLost",
    "RecordingPaused",
    "RecordingResumed",
    "ReplyFinished",
    "Resumed",
    "Routed",
    "Say",
    "SettingsChanged",
    "ToolCalled",
    "ToolContinues",
    "ToolDropped",
    "ToolFinished",
    "TransferFailed",
    "TransferOutcome",
    "TransferStarted",
    "Transferred",
    "TrunkChanged",
    "TurnFinished",
    "TurnInput",
    "TurnTakingEnded",
    "TurnTakingStarted",
    "TurnWaits",
    "UnknownEvent",
    "VoiceMeasured",
    "VoiceReported",
    "fields_of",
    "parsed",
]

OwnEvent = (
    CallStarted | CallRefused | Listening | Routed | Answered | MediaSourceChanged
    | ListeningForTones | Held | Resumed | CallEnded | CallFinished | CallLost | TrunkChanged
    | RecordingPaused | RecordingResumed | LineIsDead
    | KeyPressed | KeysCollected | DigitsSent | DigitsNotSent
    | TransferStarted | TransferFailed | Transferred | TransferOutcome
    | AgentChanges | LanguageChanges | AgentStarted | SettingsChanged | HearingStarted
    | Say | BotSays | BotStarted | ReplyFinished
    | Interrupted | TurnWaits | TurnFinished | HistoryShortened | LlmLimitReached | EngineFailed
    | EngineConnected | EngineLost | EngineHears | EngineHungUp | EngineReply | EngineNoted
    | RecognizerLost | VoiceMeasured | VoiceReported | EngineSwitched | EngineRests | EngineBack
    | ToolCalled | ToolDropped | ToolContinues | ToolFinished
    | TurnTakingStarted | TurnTakingEnded | TurnInput | Expects
    | PartialTranscript | FinalTranscript
)  # fmt: skip
Event = OwnEvent | TurnEvent
"""Everything that may happen in a call."""


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of another version: of a kind that is not known, or with other fields."""

    kind: str
    data: Mapping[str, Any]


CLASSES: Mapping[str, type[Event]] = {one.kind: one for one in get_args(Event)}
FOR_REPLAY = frozenset(
    one.kind
    for one in (Listening, HearingStarted, TurnTakingStarted, TurnTakingEnded, TurnInput, Expects)
)
"""Kinds that only a replay needs; the API does not show them."""
_HEAD = frozenset({"at", "audio_s", "kind"})
FORMER_KINDS = {"ear_opened": HearingStarted.kind}
"""Kinds of bundles of former versions with their present names; for one release."""
FORMER_FIELDS = {TurnEnded.kind: {"patience_ms": "endpoint_delay_ms"}}
"""Fields of bundles of former versions with their present names; for one release."""


def fields_of(event: Event) -> dict[str, Any]:
    """Return the fields of an event by name; nested values as they are."""
    return {each.name: getattr(event, each.name) for each in fields(event)}


def parsed(line: Mapping[str, Any]) -> Event | UnknownEvent:
    """Return the event that a line of `events.jsonl` holds.

    Fields that are not known are ignored; what cannot be read as its kind is an `UnknownEvent`.
    """
    kind = str(line.get("kind", ""))
    kind = FORMER_KINDS.get(kind, kind)
    former = FORMER_FIELDS.get(kind, {})
    data = {former.get(key, key): value for key, value in line.items() if key not in _HEAD}
    if kind not in CLASSES:
        return UnknownEvent(kind, data)
    try:
        return _adapter(kind).validate_python(data)
    except ValidationError:
        return UnknownEvent(kind, data)


@cache
def _adapter(kind: str) -> TypeAdapter[Event]:
    return TypeAdapter(CLASSES[kind])
