"""`gateway check`: everything that can be known to be wrong before the first call."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.config.checks import Fault
from gateway.config.engines import settings_of
from gateway.config.loader import load_config, load_dialplan
from gateway.config.models import AgentConfig, GatewayConfig
from gateway.config.toml_file import dotted, read_toml
from gateway.conversation.function_tool import load_tool
from gateway.errors import ConfigError, Problem, ToolError
from gateway.providers import registry
from gateway.records.redaction import load_redactor
from gateway.script.loader import load_script

BUILT_IN = "built-in configuration"


def run(config_path: Path | None) -> int:
    """Check configuration, dialplan, scripts, tools and providers; say `OK` when all is well.

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
    counts = [
        _count(len(config.agents), "agent"),
        _count(len(config.trunks), "trunk"),
        _count(rules, "extension"),
    ]
    sys.stdout.write(f"OK: {', '.join(counts)}\n")
    return 0


def agent_problems(config: GatewayConfig, path: Path | None) -> Iterator[Problem]:
    """Yield what is wrong with the agents' tools, engines and scripts."""
    file = read_toml(path, str(path), os.environ) if path else None
    for name, agent in config.agents.items():
        try:
            for below, text in _agent_faults(agent):
                loc = ("agents", name, *below)
                yield (file.problem(loc, text) if file else Problem(BUILT_IN, 0, dotted(loc), text))
        except ConfigError as error:  # the agent's script
            yield from error.problems


def _agent_faults(agent: AgentConfig) -> Iterator[Fault]:
    for index, reference in enumerate(agent.tools):
        try:
            load_tool(reference, Path.cwd())
        except ToolError as error:
            yield ("tools", index), error.problem
    for kind, name, settings in settings_of(agent):
        if hint := registry.load(kind, name).probe():
            yield (kind, "provider"), hint
        for key, field in type(settings).model_fields.items():
            value = getattr(settings, key)
            if isinstance(value, Path) and not value.exists():
                yield (kind, field.alias or key), f"no such file or folder: {value}"
            elif isinstance(value, Path) and (kind, name) == ("llm", "script"):
                load_script(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
