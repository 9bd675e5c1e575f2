"""Keys as peers send them: telephone-event (RFC 4733) and INFO in its many forms.  Pure."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

KEYS = frozenset("0123456789*#ABCD")
_CODES = (*"0123456789*#ABCD",)
_WRAP_MS = 2**32 // 8
"""Where the RTP timestamp, in milliseconds, begins anew."""
_SLACK_MS = 10
_KNOWN_EVENTS = 16
_SIGNAL = re.compile(r"(?:^|[\r\n])[ \t]*(?:signal|d)[ \t]*=[ \t]*([^\s;]*)", re.IGNORECASE)
_EVENT_TYPE = "audio/telephone-event"
_TYPES = frozenset(
    {
        "application/dtmf-relay",
        "application/dtmf",
        "application/vnd.nortelnetworks.digits",
        _EVENT_TYPE,
    }
)


@dataclass(slots=True)
class _Event:
    digit: str
    at_ms: int
    duration_ms: int


class TelephoneEvents:
    """Tells which packets of telephone-event are a new key: the RTP timestamp is the event.

    The library compares durations, so it takes the same key pressed again, with as long a duration
    or without its first packets, for more of the same event.
    """

    def __init__(self) -> None:
        self._known: deque[_Event] = deque(maxlen=_KNOWN_EVENTS)

    def press(self, digit: str, at_ms: int, duration_ms: int) -> str:
        """Accept one report of the library; returns the key if one was pressed, else "".

        Args:
            digit: as the library writes it; what is no key (flash) is none.
            at_ms: the packet's RTP timestamp in milliseconds.
            duration_ms: how long the event has lasted.
        """
        for known in self._known:
            if known.digit != digit:  # SIPp gives all keys of a burst one timestamp
                continue
            later_ms = (at_ms - known.at_ms) % _WRAP_MS
            # A peer that counts the timestamp on within an event does not press two keys at once.
            if later_ms == 0 or later_ms < known.duration_ms + _SLACK_MS:
                known.duration_ms = max(known.duration_ms, later_ms + duration_ms)
                return ""
        self._known.append(_Event(digit, at_ms, duration_ms))
        return digit if digit in KEYS else ""


@dataclass(frozen=True, slots=True)
class Info:
    """What to answer to an INFO, and the key that it carries."""

    status: int
    reason: str
    key: str = ""
    headers: tuple[tuple[str, str], ...] = ()


def read_info(content_type: str, body: str, info_package: str = "") -> Info:
    """Read an INFO within a call.

    Args:
        content_type: of its body, parameters and all.
        body: as text.
        info_package: the Info-Package header (RFC 6086), empty where there is none.
    """
    if info_package:
        return Info(469, "Bad Info Package", headers=(("Recv-Info", ""),))
    kind = content_type.partition(";")[0].strip().lower()
    if not body.strip(" \t\r\n") or not kind:
        return Info(200, "OK")
    if kind not in _TYPES:
        accepted = ", ".join(sorted(_TYPES))
        return Info(415, "Unsupported Media Type", headers=(("Accept", accepted),))
    key = _key_in(kind, body)
    return Info(400, "Missing Signal") if key is None else Info(200, "OK", key)


def _key_in(kind: str, body: str) -> str | None:
    """Read the key; empty for a signal that is none, None where there is no signal."""
    named = _SIGNAL.search(body)
    if named is not None:
        return _key(named[1])
    if kind == _EVENT_TYPE and len(body) >= 4 and ord(body[0]) < 32:  # the payload of RFC 4733
        return _key(str(ord(body[0])))
    return None if kind == "application/dtmf-relay" else _key(body.strip())


def _key(text: str) -> str:
    """Read a key, or the number of its event: 10 = *, 11 = #, 12 to 15 = A to D, 16 = flash."""
    text = text.strip("\"'").upper()
    if text.isdecimal() and len(text) == 2:
        number = int(text)
        return _CODES[number] if 10 <= number < len(_CODES) else ""
    return text if len(text) == 1 and text in KEYS else ""
