"""What the dialogue expects the caller to say next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ExpectKind = Literal[
    "free",
    "yes_no",
    "choice",
    "digits",
    "phone_number",
    "time",
    "date",
    "quantity",
    "name",
    "spelling",
    "email",
]


@dataclass(frozen=True, slots=True)
class Expect:
    """What the dialogue expects next; steers recognition (forced choice) and endpointing."""

    kind: ExpectKind = "free"
    choices: tuple[str, ...] = ()
    """Phrases, for kind `choice` (menu) and `yes_no`; empty otherwise."""
    digits: int | None = None
    """How many digits make the answer complete, where that is known."""
    reprompt: str = ""
    """What to say when the caller stays silent; empty = the agent's own words."""
    is_guess: bool = False
    """By the words of a language model, or a hint of it: the caller may well say something else."""
