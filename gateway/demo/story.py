"""Events of a call -> what a person reads: who spoke, tools, cuts.  Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Speaker = Literal["call", "says", "hears", "bot", "tool", "cut"]
"""says = what the caller really says, hears = what the gateway understands of it."""
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the story."""

    at_s: float
    """Seconds since the call was answered."""
    speaker: Speaker
    text: str
    is_open: bool = False
    """True while the next entry of the same speaker may replace it (a partial transcript)."""


class Story:
    """Turns the lines of `events.jsonl`, as they come, into entries."""

    def __init__(self) -> None:
        self._speaking_since_s: float | None = None

    def tell(self, event: Event) -> Entry | None:
        """Give what one event adds; None for kinds that nobody needs to read."""
        at_s, kind = float(event.get("audio_s", 0.0)), str(event.get("kind"))
        if kind == "bot_started":
            self._speaking_since_s = at_s
        elif kind == "interrupted" and event["was_audible"]:
            return Entry(at_s, "cut", self._cut(at_s, str(event["heard"])))
        elif kind in _PARTIAL:
            return Entry(at_s, "hears", str(event["text"]), is_open=True) if event["text"] else None
        elif kind in _LINES:
            speaker, text_of = _LINES[kind]
            return Entry(at_s, speaker, text_of(event))
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
    """Say an end reason in words."""
    return reason.replace("_", " ")


def _called(event: Event) -> str:
    return f"{event['tool']}({arguments_text(str(event['arguments']))})"


def _result(event: Event) -> str:
    prefix = "failed: " if event.get("is_error") else ""
    return f"{event['tool']} -> {prefix}{event['result']}"


_PARTIAL = frozenset({"partial_transcript", "final_transcript"})
"""Open until the turn ends: the caller may go on."""
_LINES: Mapping[str, tuple[Speaker, Callable[[Event], str]]] = {
    "answered": ("call", lambda event: f"answered, {event['codec']}"),
    "turn_ended": ("hears", lambda event: str(event["text"])),
    "turn_discarded": ("hears", lambda _: "(nothing to answer)"),
    "bot_says": ("bot", lambda event: str(event["text"])),
    "tool_called": ("tool", _called),
    "tool_finished": ("tool", _result),
    "tool_dropped": ("tool", lambda event: f"{event['tool']} -> dropped: the caller went on"),
    "transferred": ("call", lambda event: f"transferred to {event['target']}"),
    "engine_failed": ("call", lambda event: f"an engine failed: {event['problem']}"),
    "call_ended": ("call", lambda event: f"ended: {end_text(str(event['reason']))}"),
}
