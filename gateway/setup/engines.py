"""An agent's engine tables (`stt`, `vad` ...) against the `Settings` of the provider they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import SecretStr, ValidationError

from gateway.config.engine_table import EngineTable
from gateway.config.faults import faults_of
from gateway.config.locate import KeyPath
from gateway.config.models import AgentConfig, GatewayConfig
from gateway.config.models.agent import default_voice
from gateway.config.models.pace import pace_key
from gateway.errors import ProviderUnavailable
from gateway.languages import primary
from gateway.models import located
from gateway.providers import registry
from gateway.providers.contracts import Helper
from gateway.providers.localized import detecting, known_languages, localized
from gateway.setup.speech_checks import engine_faults, speech_faults

KINDS = get_args(registry.Kind)
_STAND_INS = ("stt", "llm")
"""Used by an agent with a speech-to-speech engine when that is lost."""


def checked_engines(
    agent: AgentConfig, folder: Path, faults: list[tuple[KeyPath, str]]
) -> AgentConfig:
    """Validate an agent's engine tables.

    Args:
        agent: as read.
        folder: relative paths in the tables start here.
        faults: what is wrong is appended, with key paths below the agent.

    Returns:
        The agent with validated settings, absolute paths and wrapped secrets in its tables.
    """
    tables: dict[str, EngineTable] = {}
    is_stated = "language" in agent.model_fields_set
    if "tts" not in agent.model_fields_set:
        agent = agent.model_copy(update={"tts": default_voice(agent.language)})
    for kind, table in tables_of(agent):
        try:
            tables[kind] = _checked(kind, table, folder)
            if kind == "stt" and agent.detect_language and agent.languages:
                told = detecting(tables[kind])
                faults.extend(() if told else [_no_detection(table)])
                tables[kind] = told or tables[kind]
            elif is_stated:
                tables[kind] = localized(kind, tables[kind], agent.language)
            if kind != "s2s":
                faults.extend(engine_faults(kind, tables[kind]))
            fault = _language_fault(kind, tables[kind], agent.language)
            if fault and not _is_unused(kind, agent):
                faults.append((("language",), fault + _stand_in(kind, agent)))
        except ProviderUnavailable as error:
            faults.append(((kind, "provider"), error.problem))
        except _WrongSettingsError as error:
            faults.extend(((kind, *loc), text) for loc, text in error.faults)
    faults.extend(_turn_faults(agent, tables.get("stt")))
    faults.extend(_pace_faults(agent, tables.get("tts" if agent.s2s is None else "s2s")))
    if "s2s" in tables:
        faults.extend(speech_faults(agent, tables["s2s"]))
    return agent.model_copy(update=tables)


def tables_of(agent: AgentConfig) -> Iterator[tuple[registry.Kind, EngineTable]]:
    """Yield the kinds and tables of an agent's engines."""
    yield from (("stt", agent.stt), ("llm", agent.llm), ("tts", agent.tts))
    if agent.s2s is not None:
        yield "s2s", agent.s2s


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
        f'stt = "{table.provider}" does not report the language with these settings:'
        " docs/languages.md names those that do",
    )


def _turn_faults(agent: AgentConfig, table: EngineTable | None) -> Iterator[tuple[KeyPath, str]]:
    """Report that turns are to be decided by a recognizer that does not detect them."""
    if agent.turn.by == "gateway" or table is None:
        return
    if not getattr(registry.create("stt", table), "hears_turns", False):
        yield (
            ("turn", "by"),
            f'"{agent.turn.by}" needs a recognizer that detects turns, and stt ='
            f' "{table.provider}" does not with these settings: write by = "gateway", or name'
            " another recognizer (docs/engines.md lists them)",
        )


def _pace_faults(agent: AgentConfig, table: EngineTable | None) -> Iterator[tuple[KeyPath, str]]:
    """Report that a tool is to change the rate of an engine that has none."""
    if "speaking_rate" not in agent.builtin_tools or table is None or table.settings is None:
        return
    if not pace_key(type(table.settings)):
        text = f"speaking_rate has no effect: {table.provider} has no setting of its rate"
        yield ("builtin_tools",), text


def _is_unused(kind: registry.Kind, agent: AgentConfig) -> bool:
    """Return whether an agent never uses an engine: its engine hears and speaks by itself."""
    return kind in _STAND_INS and agent.s2s is not None and agent.s2s.on_failure == "apologize"


def _stand_in(kind: registry.Kind, agent: AgentConfig) -> str:
    """Return what else can be done about an engine that only stands in."""
    if kind not in _STAND_INS or agent.s2s is None:
        return ""
    return '; or do without a stand-in: on_failure = "apologize" in s2s'


class _WrongSettingsError(Exception):
    def __init__(self, faults: list[tuple[KeyPath, str]]) -> None:
        self.faults = faults
        super().__init__()


def _checked(kind: registry.Kind, table: EngineTable, folder: Path) -> EngineTable:
    rest, paths = table.rest(), {}
    if not table.provider:
        known = ", ".join(info.name for info in registry.available(kind))
        raise ProviderUnavailable(kind, f"names the provider; known: {known}")
    try:
        settings = registry.settings_of(kind, table)
    except ValidationError as error:
        model = registry.load(kind, table.provider).Settings
        own = tuple(name for name in type(table).model_fields if name != "provider")
        raise _WrongSettingsError(list(faults_of(error, model, own))) from error
    for name, field in type(settings).model_fields.items():
        key = field.alias or name
        value = getattr(settings, name)
        if key in rest and isinstance(value, Path):
            rest[key] = paths[name] = located(value, folder)
        elif key in rest and isinstance(value, SecretStr):
            rest[key] = value
    return table.checked(settings.model_copy(update=paths), rest)
