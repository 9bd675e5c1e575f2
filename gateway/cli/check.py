"""`gateway check`: everything that can be known to be wrong before the first call."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.config.checks import Fault, cautions
from gateway.config.engine_table import EngineTable
from gateway.config.locate import KeyPath
from gateway.config.models import AgentConfig, GatewayConfig
from gateway.config.renamed import accept_old_names, old_names
from gateway.config.toml_file import dotted, read_toml
from gateway.conversation.function_tool import load_tool
from gateway.doctor.finding import counted
from gateway.errors import ConfigError, Problem, ToolError
from gateway.models.store import missing_model
from gateway.providers import registry
from gateway.records.redaction import load_redactor
from gateway.setup.engines import tables_of
from gateway.setup.loader import load_config, load_dialplan
from gateway.setup.speech_checks import advice, name_cautions, speech_cautions
from gateway.setup.texts import text_cautions

BUILT_IN = "built-in configuration"


def run(config_path: Path | None) -> int:
    """Check configuration, dialplan, scripts, tools and providers; print `OK` without any problem.

    Raises:
        ConfigError: all problems.
    """
    config = load_config(config_path)
    problems: list[Problem] = []
    rules = 0
    try:
        plan = load_dialplan(config)
        rules = sum(len(context.extensions) for context in plan.contexts.values())
    except ConfigError as error:
        problems += error.problems
    problems += agent_problems(config, config_path)
    try:
        load_redactor(config.records.redact, Path.cwd())
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    for problem in _cautions(config, config_path):
        sys.stderr.write(f"warning: {problem}\n")
    counts = [
        counted(len(config.agents), "agent"),
        counted(len(config.trunks), "trunk"),
        counted(rules, "extension"),
        *([counted(len(config.routers), "router")] if config.routers else []),
    ]
    what = "" if config_path else f" ({BUILT_IN}: there is no gateway.toml here)"
    sys.stdout.write(f"OK: {', '.join(counts)}{what}\n")
    return 0


def _cautions(config: GatewayConfig, path: Path | None) -> Iterator[Problem]:
    file = accept_old_names(read_toml(path, str(path), os.environ)) if path else None
    found = dict.fromkeys((*cautions(config), *_engine_cautions(config)))
    for loc, text in (*(old_names(file) if file else ()), *found):
        yield file.problem(loc, text) if file else Problem(BUILT_IN, 0, dotted(loc), text)


def _engine_cautions(config: GatewayConfig) -> Iterator[Fault]:
    for name, agent in config.agents.items():
        for kind, table in tables_of(agent):
            told = (*advice(kind, table, "cautions"), *name_cautions(kind, table))
            for loc, text in told:
                yield _where(name, table, loc), text
        for loc, text in (*speech_cautions(agent), *text_cautions(agent)):
            yield ("agents", name, *loc), text


def _where(agent: str, table: EngineTable, loc: KeyPath, below: KeyPath = ()) -> KeyPath:
    """Return the place of a key of an engine's table: of the agent, or in `[engines]`."""
    return ("engines", table.name, *loc[1:]) if table.name else ("agents", agent, *below, *loc)


def agent_problems(config: GatewayConfig, path: Path | None) -> Iterator[Problem]:
    """Yield what is wrong with the agents' tools, engines and scripts."""
    file = read_toml(path, str(path), os.environ) if path else None
    reported: set[Fault] = set()
    for name, agent in config.agents.items():
        try:
            for loc, text in _agent_faults(name, agent):
                if (loc, text) not in reported:  # agents share engines with names
                    reported.add((loc, text))
                    yield (
                        file.problem(loc, text) if file else Problem(BUILT_IN, 0, dotted(loc), text)
                    )
        except ConfigError as error:  # the agent's script
            yield from error.problems


def _tables_with_places(
    agent: AgentConfig,
) -> Iterator[tuple[KeyPath, registry.Kind, EngineTable]]:
    """Yield the agent's engines, and those that it has of its own in another language."""
    for kind, table in tables_of(agent):
        yield (), kind, table
    for tag, other in agent.in_languages.items():
        own = agent.languages.get(tag)
        for kind, table in tables_of(other):
            if getattr(own, kind, None) is not None:
                yield ("languages", tag), kind, table


def _agent_faults(name: str, agent: AgentConfig) -> Iterator[Fault]:
    for index, reference in enumerate(agent.tools):
        try:
            load_tool(reference, Path.cwd())
        except ToolError as error:
            yield ("agents", name, "tools", index), error.problem
    for below, kind, table in _tables_with_places(agent):
        module, settings = registry.load(kind, table.provider), registry.settings_of(kind, table)
        if hint := module.probe():
            yield _where(name, table, (kind, "provider"), below), hint
        missing = False
        for key, field in type(settings).model_fields.items():
            value = getattr(settings, key)
            if isinstance(value, Path) and not value.exists():
                missing = True
                at = _where(name, table, (kind, field.alias or key), below)
                yield at, missing_model(value) or f"no such file or folder: {value}"
        if not missing and (check := getattr(module, "check", None)):
            check(settings)
