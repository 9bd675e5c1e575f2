"""Configuration files -> checked values; the only reader of configuration files."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.checks import Fault, check
from gateway.config.defaults import default_config
from gateway.config.dialplans import Dialplan, DialplanFile
from gateway.config.faults import faults_of
from gateway.config.files import ConfigFiles
from gateway.config.locate import KeyPath
from gateway.config.models import EdgeConfig, GatewayConfig
from gateway.config.plan_checks import Source, assemble
from gateway.config.renamed import accept_old_names
from gateway.config.toml_file import TomlFile, read_toml
from gateway.errors import ConfigError, Problem
from gateway.setup.routes import Routes
from gateway.setup.variants import checked_agent

M = TypeVar("M", bound=BaseModel)

DEFAULT_FILE = Path("gateway.toml")


def find_config(named: Path | None) -> Path | None:
    """Choose the file to load: the named one, else `gateway.toml` here if there is one."""
    if named is not None:
        return named
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def load_config(
    path: Path | None,
    environ: Mapping[str, str] | None = None,
    files: ConfigFiles | None = None,
) -> GatewayConfig:
    """Read, fill in, validate and check `gateway.toml`.

    Args:
        path: the file; None = the built-in default.
        environ: where `${NAME}` is looked up; None = the process's environment.
        files: where texts come from; None = the disk.

    Returns:
        The configuration; its relative paths are resolved against the file's folder.

    Raises:
        ConfigError: all problems at once.
    """
    if path is None:
        return default_config()
    files = files or ConfigFiles()
    environ = os.environ if environ is None else environ
    file = accept_old_names(read_toml(path, str(path), environ, files))
    config, faults = _validated(file, GatewayConfig)
    broken = {loc for loc, _ in faults}
    if config is not None:
        has_agents = "agents" in file.table
        if not has_agents:
            config = _with_default_agent(config, has_outgoing="outgoing" in file.table)
        config, later = _finished(config, file.folder, files)
        faults += [
            (loc, text)
            for loc, text in later
            if not _is_about(loc, broken) and (has_agents or not _is_transfer_target(loc))
        ]
    if faults or config is None:
        raise ConfigError(_problems(file, faults))
    return config


def load_dialplan(
    config: GatewayConfig,
    environ: Mapping[str, str] | None = None,
    files: ConfigFiles | None = None,
) -> Dialplan:
    """Read and check every `*.toml` of the dialplan folder.

    Args:
        config: as loaded; its agents and trunks are what the dialplan may refer to.
        environ: where `${NAME}` is looked up; None = the process's environment.
        files: where texts come from; None = the disk.

    Raises:
        ConfigError: all problems of all files at once.
    """
    files = files or ConfigFiles()
    folder = config.dialplan.directory
    problems: list[Problem] = []
    sources: list[Source] = []
    paths = _dialplan_paths(folder, files) if folder else []
    for path in paths:
        try:
            source, found = _dialplan_file(path, os.environ if environ is None else environ, files)
        except ConfigError as error:
            problems += error.problems
        else:
            problems += found
            sources += [source] if source else []
    plan, found = assemble(sources, config)
    if len(sources) == len(paths):  # else they would refer to what only seems to be missing
        known = {(problem.path, problem.line) for problem in problems}
        problems += [fault for fault in found if (fault.path, fault.line) not in known]
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: (problem.path, problem.line)))
    return plan


def _dialplan_file(
    path: Path, environ: Mapping[str, str], files: ConfigFiles
) -> tuple[Source | None, list[Problem]]:
    file = read_toml(path, _shown(path), environ, files)
    model, faults = _validated(file, DialplanFile)
    return Source(file, model) if model else None, _problems(file, faults)


def _dialplan_paths(folder: Path, files: ConfigFiles) -> list[Path]:
    try:
        paths = files.toml_files(folder)
    except OSError as error:
        text = f"the dialplan folder cannot be read: {error.strerror}"
        raise ConfigError([Problem(_shown(folder), 0, "", text)]) from error
    if not paths:
        raise ConfigError([Problem(_shown(folder), 0, "", "the folder holds no *.toml file")])
    return paths


def _validated(file: TomlFile, model: type[M]) -> tuple[M | None, list[Fault]]:
    """Validate; after faults, once more without the faulty keys, so that checks can go on."""
    faults: list[Fault] = list(file.problems.items())
    try:
        return model.model_validate(file.table), faults
    except ValidationError as error:
        unset = set(file.problems)
        faults += [
            (loc, text) for loc, text in faults_of(error, model) if not _is_about(loc, unset)
        ]
        rest = _without(file.table, [details["loc"] for details in error.errors()])
    try:
        return model.model_validate(rest), faults
    except ValidationError:
        return None, faults


def _without(table: dict[str, Any], locs: list[KeyPath]) -> dict[str, Any]:
    """Copy a table, less the keys at `locs`; a faulty array element takes its array along."""
    rest = copy.deepcopy(table)
    for loc in locs:
        keys = list(loc)
        while keys and isinstance(keys[-1], int):
            keys.pop()
        parent: Any = rest
        for key in keys[:-1]:
            try:
                parent = parent[key]
            except (KeyError, IndexError, TypeError):
                break
        else:
            if keys and isinstance(parent, dict):
                parent.pop(keys[-1], None)
    return rest


def _with_default_agent(config: GatewayConfig, *, has_outgoing: bool) -> GatewayConfig:
    """Add the front desk, and leave to call what it may transfer to."""
    default = default_config()
    outgoing = config.outgoing if has_outgoing else default.outgoing
    return config.model_copy(update={"agents": default.agents, "outgoing": outgoing})


def _is_transfer_target(loc: KeyPath) -> bool:
    """Return whether a fault is of a transfer target: that of the front desk is an example.

    A transfer that `[outgoing]` does not allow fails in the call, and the front desk says so.
    """
    return loc[:1] == ("agents",) and loc[2:3] == ("transfer_targets",)


def _finished(
    config: GatewayConfig, folder: Path, files: ConfigFiles
) -> tuple[GatewayConfig, list[Fault]]:
    """Resolve paths and check what ties values together."""
    config = config.model_copy(update={"edge": _edge_paths(config.edge, folder)})
    faults = list(check(config))
    routes = Routes(config, folder)
    agents = {}
    for name, agent in config.agents.items():
        below: list[Fault] = []
        tools = tuple(_tool_path(tool, folder) for tool in agent.tools)
        checked = checked_agent(agent, folder, below, routes)
        agents[name] = checked.model_copy(update={"tools": tools})
        below += _missing_tools(tools)
        faults += [(("agents", name, *loc), text) for loc, text in below]
    routes.check_rest()
    faults += routes.faults
    records, dialplan = config.records, config.dialplan
    directory = folder / records.directory.expanduser()
    redact = _tool_path(records.redact, folder)
    faults += [(("records", "redact"), text) for _, text in _missing_tools((redact,))]
    update: dict[str, object] = {
        "agents": agents,
        "engines": routes.engines,
        "records": records.model_copy(update={"directory": directory, "redact": redact}),
    }
    if dialplan.directory is not None:
        directory = folder / dialplan.directory.expanduser()
        update["dialplan"] = dialplan.model_copy(update={"directory": directory})
        if not files.is_folder(directory):
            faults.append((("dialplan", "directory"), f"no such folder: {_shown(directory)}"))
    return config.model_copy(update=update), faults


def _edge_paths(edge: EdgeConfig, folder: Path) -> EdgeConfig:
    keys = ("directory", "tls_certificate", "tls_key", "tls_ca")
    paths = {key: getattr(edge, key) for key in keys}
    found = {key: folder / path.expanduser() for key, path in paths.items() if path is not None}
    return edge.model_copy(update=found)


def _tool_path(tool: str, folder: Path) -> str:
    path, _, function = tool.rpartition(":")
    return f"{folder / Path(path).expanduser()}:{function}" if path.endswith(".py") else tool


def _missing_tools(tools: tuple[str, ...]) -> Iterator[Fault]:
    for index, tool in enumerate(tools):
        path = tool.rpartition(":")[0]
        if path.endswith(".py") and not Path(path).is_file():
            yield ("tools", index), f"file not found: {_shown(Path(path))}"


def _is_about(loc: KeyPath, broken: set[KeyPath]) -> bool:
    """Return whether a key was reported already, or is in the same table as one that was."""
    return any(loc[: len(other)] == other or loc[:-1] == other[:-1] for other in broken)


def _problems(file: TomlFile, faults: list[Fault]) -> list[Problem]:
    problems = [file.problem(loc, text) for loc, text in faults]
    return sorted(problems, key=lambda problem: problem.line)


def _shown(path: Path) -> str:
    """Name a file as the user would: from the current folder where it lies below that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
