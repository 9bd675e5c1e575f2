"""An agent's engine tables (`stt`, `vad` ...) against the `Settings` of the provider they name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol, get_args

from gateway.config.engine_table import EngineTable
from gateway.config.locate import KeyPath
from gateway.config.models import AgentConfig, GatewayConfig, RoutedKind, RouterConfig
from gateway.config.models.agent import default_voice
from gateway.config.models.pace import pace_key
from gateway.errors import ProviderUnavailable
from gateway.languages import primary
from gateway.providers import registry
from gateway.providers.contracts import Helper
from gateway.providers.localized import detecting, known_languages, localized
from gateway.setup.engine_settings import WrongSettingsError, checked_table
from gateway.setup.speech_checks import engine_faults, speech_faults

KINDS = get_args(registry.Kind)
USED_KINDS: tuple[RoutedKind, ...] = ("stt", "llm", "tts", "s2s")
"""Whose tables are checked here; voice detectors have their own."""
_STAND_INS = ("stt", "llm")
"""Used by an agent with a speech-to-speech engine when that is lost."""


class Names(Protocol):
    """What engine tables may name."""

    def table(self, kind: RoutedKind, table: EngineTable) -> EngineTable | None:
        """Return a table that names an engine or a router with its plan.

        None where that cannot be, for which there is a fault.

        Raises:
            WrongSettingsError: the table itself is wrong.
        """


def checked_engines(
    agent: AgentConfig, folder: Path, faults: list[tuple[KeyPath, str]], routes: Names
) -> AgentConfig:
    """Validate an agent's engine tables.

    Args:
        agent: as read.
        folder: relative paths in the tables start here.
        faults: what is wrong is appended, with key paths below the agent.
        routes: the engines and routers that a table may name.

    Returns:
        The agent with validated settings, absolute paths and wrapped secrets in its tables.
    """
    tables: dict[str, EngineTable] = {}
    language = agent.language if "language" in agent.model_fields_set else ""
    if "tts" not in agent.model_fields_set:
        agent = agent.model_copy(update={"tts": default_voice(agent.language)})
    for kind in USED_KINDS:
        table: EngineTable | None = getattr(agent, kind)
        if table is None:
            continue
        try:
            found = _checked(kind, table, folder, routes)
        except ProviderUnavailable as error:
            faults.append(((kind, "provider"), error.problem))
        except WrongSettingsError as error:
            faults.extend(((kind, *loc), text) for loc, text in error.faults)
        else:
            if found is not None:
                tables[kind] = _told(kind, found, agent, language, faults)
                faults.extend(_table_faults(kind, tables[kind], agent))
    if agent.vad.use:
        faults.append((("vad",), f'must be a table: write {{ provider = "{agent.vad.use}" }}'))
    faults.extend(_turn_faults(agent, tables.get("stt")))
    faults.extend(_pace_faults(agent, tables.get("tts" if agent.s2s is None else "s2s")))
    if "s2s" in tables:
        faults.extend(speech_faults(agent, tables["s2s"]))
    return agent.model_copy(update=tables)


def _checked(
    kind: RoutedKind, table: EngineTable, folder: Path, routes: Names
) -> EngineTable | None:
    if table.use:
        return routes.table(kind, table)
    return checked_table(kind, table, folder)


def _told(
    kind: RoutedKind,
    table: EngineTable,
    agent: AgentConfig,
    language: str,
    faults: list[tuple[KeyPath, str]],
) -> EngineTable:
    """Return a checked table whose engines are told the language, or to report it."""
    if kind != "stt" or not (agent.detect_language and agent.languages):
        return _in_language(kind, table, language)
    told = _detecting(table)
    faults.extend(() if told else [_no_detection(table)])
    return told or table


def _detecting(table: EngineTable) -> EngineTable | None:
    """Return a recognizer's table whose engines report the language; None = one cannot."""
    if table.plan is None:
        return detecting(table)
    members = {name: _detecting(each) for name, each in table.plan.members.items()}
    known = {name: each for name, each in members.items() if each is not None}
    return table.planned(replace(table.plan, members=known)) if len(known) == len(members) else None


def _in_language(kind: RoutedKind, table: EngineTable, language: str) -> EngineTable:
    """Return a checked table whose engines are told the language of the agent, if it states one."""
    if not language:
        return table
    if table.plan is None:
        return localized(kind, table, language)
    plan = table.plan
    members = {name: _in_language(kind, each, language) for name, each in plan.members.items()}
    return table.planned(replace(plan, members=members))


def _table_faults(
    kind: RoutedKind, table: EngineTable, agent: AgentConfig
) -> Iterator[tuple[KeyPath, str]]:
    """Yield what makes a checked table impossible for this agent, or by itself."""
    for leaf in table.leaves():
        if kind != "s2s" and not leaf.name:
            yield from engine_faults(kind, leaf)
    for leaf in first_choices(table):
        fault = _language_fault(kind, leaf, agent.language)
        if fault and not _is_unused(kind, agent):
            yield ("language",), fault + _stand_in(kind, agent)


def first_choices(table: EngineTable) -> Iterator[EngineTable]:
    """Yield the engines that any call may get; a rule may choose others for what it fits."""
    if table.plan is None:
        yield table
        return
    router: RouterConfig = table.plan.router  # type: ignore[assignment]  # see `Plan`
    for name in dict.fromkeys((*router.try_, *router.split)):
        yield from first_choices(table.plan.members[name])


def tables_of(agent: AgentConfig) -> Iterator[tuple[RoutedKind, EngineTable]]:
    """Yield the kinds and tables of an agent's engines, those behind its routers one by one."""
    for kind in USED_KINDS:
        table: EngineTable | None = getattr(agent, kind)
        if table is not None:
            yield from ((kind, leaf) for leaf in table.leaves())


def helpers_of(config: GatewayConfig) -> tuple[Helper, ...]:
    """Return the helper processes that the engines of a checked configuration want."""
    agents = config.agents.values()
    return registry.helpers(table for agent in agents for table in all_tables_of(agent))


def all_tables_of(agent: AgentConfig) -> Iterator[tuple[registry.Kind, EngineTable]]:
    """Yield the kinds and tables of an agent's engines in each of its languages."""
    for each in (agent, *agent.in_languages.values()):
        yield from tables_of(each)


def _language_fault(kind: registry.Kind, table: EngineTable, language: str) -> str:
    """Report that an engine does not know the agent's language; empty where it may."""
    spoken = known_languages(kind, table)
    if not spoken or primary(language) in spoken:
        return ""
    return (
        f'"{language}" is not supported by {kind} = "{table.provider}" with these settings'
        f" (supported: {', '.join(spoken)}): change language, the engine's settings, or the engine"
    )


def _no_detection(table: EngineTable) -> tuple[KeyPath, str]:
    return (
        ("detect_language",),
        f'stt = "{table.label}" does not report the language with these settings:'
        " docs/languages.md names those that do",
    )


def _turn_faults(agent: AgentConfig, table: EngineTable | None) -> Iterator[tuple[KeyPath, str]]:
    """Report that turns are to be decided by a recognizer that does not detect them."""
    if agent.turn.by == "gateway" or table is None:
        return
    for leaf in table.leaves():
        if not getattr(registry.create("stt", leaf), "hears_turns", False):
            which = f'stt = "{leaf.provider}"' if not leaf.name else f'engine "{leaf.name}"'
            yield (
                ("turn", "by"),
                f'"{agent.turn.by}" needs a recognizer that detects turns, and {which} does not'
                ' with these settings: write by = "gateway", or name another recognizer'
                " (docs/engines.md lists them)",
            )


def _pace_faults(agent: AgentConfig, table: EngineTable | None) -> Iterator[tuple[KeyPath, str]]:
    """Report that a tool is to change the rate of an engine that has none."""
    if "speaking_rate" not in agent.builtin_tools or table is None:
        return
    if table.settings is None and table.plan is None:
        return
    has_rate = table.settings is not None and bool(pace_key(type(table.settings)))
    if not has_rate:
        text = f"speaking_rate has no effect: {table.label} has no setting of its rate"
        yield ("builtin_tools",), text


def _is_unused(kind: registry.Kind, agent: AgentConfig) -> bool:
    """Return whether an agent never uses an engine: its engine hears and speaks by itself."""
    return kind in _STAND_INS and agent.s2s is not None and agent.s2s.on_failure == "apologize"


def _stand_in(kind: registry.Kind, agent: AgentConfig) -> str:
    """Return what else can be done about an engine that only stands in."""
    if kind not in _STAND_INS or agent.s2s is None:
        return ""
    return '; or do without a stand-in: on_failure = "apologize" in s2s'
