"""What an agent says of its own accord, in its language, where its configuration does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.config.checks import Fault
from gateway.config.models import AgentConfig
from gateway.languages import CODES, is_known, language
from gateway.languages.prompts import Prompts

_TEXTS = ("fallback", "give_up", "transfer_failed")
_TABLES = {"silence": ("reprompts", "goodbye"), "filler": ("first", "later")}


def in_its_language(agent: AgentConfig) -> AgentConfig:
    """Fill in the texts and words of the agent's language; what is stated stays."""
    if not is_known(agent.language):
        return agent
    prompts = language(agent.language).prompts
    update: dict[str, Any] = {
        key: getattr(prompts, key) for key in _TEXTS if key not in agent.model_fields_set
    }
    for name, keys in _TABLES.items():
        table = getattr(agent, name)
        own = _unset(prompts, name, keys, table.model_fields_set)
        if own:
            update[name] = table.model_copy(update=own)
    if "language" not in agent.turn.model_fields_set:
        update["turn"] = agent.turn.model_copy(update={"language": agent.language})
    return agent.model_copy(update=update)


def text_cautions(agent: AgentConfig) -> Iterator[Fault]:
    """Yield that texts are English, because there are none in the agent's language."""
    if is_known(agent.language):
        return
    english = [key for key in _TEXTS if key not in agent.model_fields_set]
    for name, keys in _TABLES.items():
        known = getattr(agent, name).model_fields_set
        english += [f"{name}.{key}" for key in keys if key not in known]
    if english:
        yield (
            ("language",),
            f'there are no texts in "{agent.language}" (only in {", ".join(CODES)}):'
            f" {', '.join(english)} are English unless you state them",
        )


def _unset(
    prompts: Prompts, name: str, keys: tuple[str, ...], stated: set[str]
) -> dict[str, object]:
    return {key: getattr(getattr(prompts, name), key) for key in keys if key not in stated}
