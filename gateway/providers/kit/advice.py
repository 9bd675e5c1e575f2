"""What a provider can tell of its settings before the first call, for `gateway check`.  Pure.

Its module yields such advice from `faults(settings)`, which refuse the configuration, and from
`cautions(settings)`, which warn.  Each is the key in the provider's table and a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pydantic import BaseModel, SecretStr

Advice = tuple[str, str]


def missing_key(settings: BaseModel) -> Iterator[Advice]:
    """Yield that `api_key` is empty where the vendor's own server, the default, asks for one."""
    key: SecretStr = getattr(settings, "api_key")  # noqa: B009 - of each provider's own model
    default = type(settings).model_fields["base_url"].default
    if not key.get_secret_value() and getattr(settings, "base_url") == default:  # noqa: B009
        yield (
            "api_key",
            f'is empty, and {default} asks for one: write api_key = "${{NAME}}" and export NAME',
        )


def unknown_voice(voice: str, known: Sequence[str]) -> Iterator[Advice]:
    """Yield that a voice is not among those that the vendor documents; an empty one is."""
    if voice and voice not in known:
        nearest = get_close_matches(voice.lower(), [name.lower() for name in known], n=1)
        named = next((name for name in known if nearest and name.lower() == nearest[0]), "")
        guess = f' (did you mean "{named}"?)' if named else f"; documented: {', '.join(known)}"
        yield "voice", f'"{voice}" is not among the documented voices{guess}'


def odd_voice(voice: str, pattern: str, example: str) -> Iterator[Advice]:
    """Yield that a voice does not look like those of the vendor, whose list is long or private."""
    if voice and not re.fullmatch(pattern, voice):
        yield "voice", f'"{voice}" does not look like a voice of this vendor, such as "{example}"'


def without_effect(settings: BaseModel, keys: Sequence[str], why: str) -> Iterator[Advice]:
    """Yield each of these keys that is set.

    Args:
        settings: as configured.
        keys: that have no effect.
        why: that is so, with the setting that it depends on.
    """
    for key in keys:
        field = type(settings).model_fields.get(key)
        if field is not None and key in settings.model_fields_set:
            yield field.alias or key, f"has no effect {why}"
