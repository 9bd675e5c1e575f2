"""Fields of a message of Gemini Live: objects, durations, numbers of tokens.  Pure."""

from __future__ import annotations

import re

from gateway.errors import ProviderError, ProviderProtocolError

Json = dict[str, object]


class SessionError(Exception):
    """The server broke its protocol, or has reported an error."""

    def __init__(self, problem: str, kind: type[ProviderError] = ProviderProtocolError) -> None:
        self.problem = problem
        self.kind = kind
        super().__init__(problem)


def object_of(value: object) -> Json:
    """Return an object with its keys in camelCase.  Raises SessionError if it is none."""
    if not isinstance(value, dict):
        raise SessionError(f"an object was expected, {type(value).__name__} came")
    return {_camel(key) if "_" in key else key: part for key, part in value.items()}


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)


def seconds_of(value: object) -> float | None:
    """Read a duration such as `9.5s`."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", value) if isinstance(value, str) else None
    return float(found[1]) if found else None


def count_of(usage: Json, key: str) -> int:
    """Return a number of tokens; 0 where there is none."""
    value = usage.get(key)
    return value if isinstance(value, int) and value >= 0 else 0


def audio_tokens(details: object) -> int:
    """Return how many of the tokens are sound."""
    parts = map(object_of, details if isinstance(details, list) else ())
    return sum(count_of(part, "tokenCount") for part in parts if part.get("modality") == "AUDIO")
