"""What can be decided about a request before the library sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Admit:
    """Let the library handle it."""

    user: str = ""
    """The authenticated user, if authentication was needed."""
    is_untrusted: bool = False
    """The caller is untrusted: see `untrusted`."""
    without_body: bool = False
    """What it describes must not be seen by the library, and it cannot be refused."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer at once with a final response."""

    rule: str
    """The configuration key or limit that refused it: in log, record and Warning header."""
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    is_challenge: bool = False
    """A 401 that a well-behaved caller will answer: not a refused call yet."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """Drop it silently: an answer would help a flood more than it would help a caller."""

    rule: str = ""
    """The limit or rule that it broke; empty = no SIP request at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """It was dealt with here: answer it, the library need not see it."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


Decision = Admit | Refuse | Ignore | Answer
