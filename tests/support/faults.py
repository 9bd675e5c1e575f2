"""The fault switches that all doubles of servers share, and what a fault looks like."""

from __future__ import annotations

from enum import StrEnum

GARBAGE = b"\xff\xfe<html>502 Bad Gateway</html>\r\n\r\n" * 40
SLOW_S = 2.5


class Fault(StrEnum):
    """What a double does instead of its work, from the next request on."""

    NONE = ""
    REFUSED = "refused"
    """It does not accept the key."""
    DOWN = "down"
    """It answers 503 or accepts no connection."""
    SLOW = "slow"
    """Its first answer comes late."""
    STALL = "stall"
    """It falls silent in the middle of an answer and keeps the connection."""
    GARBAGE = "garbage"
    """What it sends is not its protocol."""
    CLOSE = "close"
    """It ends the connection in the middle of an answer."""
