"""Events of a call -> a readable transcript: speakers, tools, interruptions.  Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.call import events
from gateway.call.events import parsed
from gateway.turn.events import TurnDiscarded, TurnEnded

Speaker = Literal["call", "says", "hears", "bot", "tool", "cut"]
"""says = what the caller really says, hears = what the gateway understands of it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the transcript."""

    at_s: float
    """Seconds since the call was answered."""
    speaker: Speaker
    text: str
    is_open: bool = False
    """True while the next entry of the same speaker may replace it (a partial transcript)."""


class Transcript:
    """Turns the lines of `events.jsonl`, as they come, into entries."""

    def __init__(self) -> None:
        self._speaking_since_s: float | None = None

    def entry_of(self, line: Mapping[str, Any]) -> Entry | None:
        """Return what one line of `events.jsonl` adds; None for what is not shown."""
        at_s = float(line.get("audio_s", 0.0))
        match event := parsed(line):
            case events.BotStarted():
                self._speaking_since_s = at_s
            case events.Interrupted(heard=heard, was_audible=True):
                return Entry(at_s, "cut", self._cut(at_s, heard))
            case events.PartialTranscript(text=text) | events.FinalTranscript(text=text):
                # Open until the turn ends: the caller may go on.
                return Entry(at_s, "hears", text, is_open=True) if text else None
            case _:
                shown = _shown(event)
                return Entry(at_s, *shown) if shown else None
        return None

    def _cut(self, at_s: float, heard: str) -> str:
        since_s, self._speaking_since_s = self._speaking_since_s, None
        after = "" if since_s is None else f" after {at_s - since_s:.1f} s"
        return f"interrupted{after}, heard: {heard or 'nothing'}"


def arguments_text(arguments: str) -> str:
    """Write a tool's JSON arguments as a Python call would; anything else as it is."""
    try:
        values = json.loads(arguments)
    except ValueError:
        return arguments
    if not isinstance(values, dict):
        return arguments
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in values.items())


def end_text(reason: str) -> str:
    """Return an end reason in words."""
    return reason.replace("_", " ")


def _shown(event: events.Event | events.UnknownEvent) -> tuple[Speaker, str] | None:
    for speaker, text_of in _TEXTS:
        if text := text_of(event):
            return speaker, text
    return ("bot", event.text) if isinstance(event, events.BotSays) else None


def _heard_text(event: events.Event | events.UnknownEvent) -> str:
    match event:
        case TurnEnded(text=text):
            return text
        case TurnDiscarded():
            return "(nothing to answer)"
        case _:
            return ""


def _call_text(event: events.Event | events.UnknownEvent) -> str:
    match event:
        case events.Answered(codec=codec):
            return f"answered, {codec}"
        case events.Transferred(target=target):
            return f"transferred to {target}"
        case events.EngineFailed(problem=problem):
            return f"an engine failed: {problem}"
        case events.CallEnded(reason=reason):
            return f"ended: {end_text(reason)}"
        case _:
            return ""


def _tool_text(event: events.Event | events.UnknownEvent) -> str:
    match event:
        case events.ToolCalled(tool=tool, arguments=arguments):
            return f"{tool}({arguments_text(arguments)})"
        case events.ToolFinished(tool=tool, result=result, is_error=is_error):
            return f"{tool} -> {'failed: ' if is_error else ''}{result}"
        case events.ToolDropped(tool=tool):
            return f"{tool} -> dropped: the caller went on"
        case _:
            return ""


_TEXTS: Sequence[tuple[Speaker, Callable[[events.Event | events.UnknownEvent], str]]] = (
    ("hears", _heard_text),
    ("tool", _tool_text),
    ("call", _call_text),
)
