"""`prompts.toml`: what an agent says of its own accord where its configuration does not."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.languages.entries import Texts

Sentence = Annotated[str, Field(min_length=1, max_length=300)]


class Silence(Texts):
    """What is said to a caller that says nothing."""

    reprompts: Annotated[tuple[Sentence, ...], Field(min_length=1)]
    goodbye: Sentence


class Filler(Texts):
    """What bridges a wait."""

    first: Annotated[tuple[Sentence, ...], Field(min_length=1)]
    later: Annotated[tuple[Sentence, ...], Field(min_length=1)]


class Prompts(Texts):
    """The keys are those of `[agents.NAME]`."""

    fallback: Sentence
    give_up: Sentence
    transfer_failed: Sentence
    silence: Silence
    filler: Filler
