"""An agent in each language that its calls may go on in: `[agents.NAME.languages.CODE]`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from gateway.config.checks import Fault
from gateway.config.models import AgentConfig
from gateway.config.models.agent import InLanguage
from gateway.languages import closest, language_name
from gateway.setup.engines import Names, checked_engines
from gateway.setup.texts import in_its_language

T = TypeVar("T", bound=BaseModel)

_TEXTS = ("fallback", "give_up", "transfer_failed")
_TABLES = {"silence": ("reprompts", "goodbye"), "filler": ("first", "later")}


def checked_agent(
    agent: AgentConfig, folder: Path, faults: list[Fault], routes: Names
) -> AgentConfig:
    """Fill in and validate what depends on languages and engines.

    Args:
        agent: as read.
        folder: relative paths start here.
        faults: what is wrong is appended, with key paths below the agent.
        routes: the engines and routers that a table may name.
    """
    checked = checked_engines(in_its_language(agent), folder, faults, routes)
    if not agent.languages:
        faults.extend(_without_languages(agent))
        return checked
    found = {}
    for tag, own in _with_its_own(agent).items():
        below: list[Fault] = []
        variant = in_its_language(_variant(agent, tag, own))
        found[tag] = checked_engines(variant, folder, below, routes)
        if tag != agent.language or tag in agent.languages:
            faults.extend(_of_language(tag, own, below))
    return checked.with_languages(found)


def _with_its_own(agent: AgentConfig) -> dict[str, InLanguage]:
    """Return the agent's languages, with that in which calls begin."""
    is_among = closest(agent.language, agent.languages) == agent.language
    return dict(agent.languages) | ({} if is_among else {agent.language: InLanguage()})


def _variant(agent: AgentConfig, tag: str, own: InLanguage) -> AgentConfig:
    """Return an agent as it is written for another language; texts of its own do not fit there."""
    is_same = tag == agent.language
    update: dict[str, Any] = {"language": tag}
    if not is_same:
        update["greeting"] = ""  # was said when the call began
    update |= {kind: table for kind in ("stt", "tts") if (table := getattr(own, kind)) is not None}
    speak = f"Speak {language_name(tag)} with the caller."
    update["instructions"] = own.instructions or f"{agent.instructions}\n\n{speak}".strip()
    unset: set[str] = set()
    for key in _TEXTS:
        if getattr(own, key):
            update[key] = getattr(own, key)
        elif not is_same:
            unset.add(key)
    for name, keys in _TABLES.items():
        table, texts = getattr(agent, name), getattr(own, name)
        given = {key: getattr(texts, key) for key in keys if getattr(texts, key)}
        left = set() if is_same else set(keys) - set(given)
        update[name] = _rewritten(table, given, left)
    update["turn"] = _rewritten(agent.turn, {}, set() if is_same else {"language"})
    return _rewritten(agent, update, unset)


def _rewritten(table: T, update: dict[str, Any], unset: set[str]) -> T:
    """Return a table with other values, and some that count as left out."""
    stated = (table.model_fields_set | update.keys()) - unset
    return type(table).model_construct(_fields_set=stated, **(vars(table) | update))


def _of_language(tag: str, own: InLanguage, below: list[Fault]) -> Iterator[Fault]:
    """Yield what is wrong in one language only; the rest was told of the agent."""
    for (first, *rest), text in below:
        if first == "language":
            yield ("languages", tag), f"{text}; or state it here: stt = ..., tts = ..."
        elif first in {"stt", "tts"} and getattr(own, str(first)) is not None:
            yield ("languages", tag, first, *rest), text


def _without_languages(agent: AgentConfig) -> Iterator[Fault]:
    if agent.detect_language:
        yield ("detect_language",), "there is no other language: name some in `languages`"
