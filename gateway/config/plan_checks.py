"""Dialplan files put together: references between contexts, extensions, agents and recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gateway.audio.wav import read_wav
from gateway.config.checks import Fault, destinations, is_target, not_allowed, target_fault
from gateway.config.dialplans import (
    Action,
    Branch,
    Collect,
    Context,
    Dialplan,
    DialplanFile,
    Extension,
    HangUp,
    Jump,
    Say,
    Step,
    Talk,
    Transfer,
    fill,
    placeholders,
)
from gateway.config.faults import did_you_mean
from gateway.config.locate import KeyPath, locate
from gateway.config.models import GatewayConfig
from gateway.config.toml_file import TomlFile
from gateway.errors import Problem, UnsupportedFormat
from gateway.placeholders import NAMES, is_known


@dataclass(frozen=True, slots=True)
class Source:
    """One file and what it says."""

    file: TomlFile
    model: DialplanFile


def assemble(sources: list[Source], config: GatewayConfig) -> tuple[Dialplan, list[Problem]]:
    """Join the files and check every reference.

    Args:
        sources: in the order of their names, which is also the order of their rules.
        config: its agents and trunks may be referred to.

    Returns:
        The dialplan, with absolute paths of recordings, and all problems.
    """
    plan = Dialplan(
        default_agent=config.default_agent or next(iter(config.agents), ""),
        contexts={
            name: _with_paths(context, source.file.folder)
            for source in sources
            for name, context in source.model.contexts.items()
        },
        trunk_contexts={trunk.name: trunk.context for trunk in config.trunks},
        origins=_origins(sources),
    )
    return plan, list(_problems(sources, plan, config))


def _origins(sources: list[Source]) -> dict[tuple[str, str], str]:
    return {
        (name, extension.name): f"{source.file.name}:{locate(source.file.text, loc)}"
        for source in sources
        for name, context in source.model.contexts.items()
        for index, extension in enumerate(context.extensions)
        for loc in [("contexts", name, "extensions", index)]
    }


def _problems(sources: list[Source], plan: Dialplan, config: GatewayConfig) -> Iterator[Problem]:
    check = _Check(plan, config)
    first_file: dict[str, str] = {}
    for source in sources:
        file = source.file
        for name, context in source.model.contexts.items():
            if name in first_file:
                text = f"{first_file[name]} defines this context already"
                yield file.problem(("contexts", name), text)
            first_file.setdefault(name, file.name)
            for loc, text in check.context(name, _with_paths(context, file.folder)):
                yield file.problem(("contexts", name, *loc), text)
    for trunk in config.trunks:
        if plan.contexts and trunk.context not in {"default", *plan.contexts}:
            known = did_you_mean(trunk.context, list(plan.contexts))
            text = f'trunk "{trunk.name}" enters an unknown context "{trunk.context}"{known}'
            yield Problem(str(config.dialplan.directory), 0, "", text)


class _Check:
    """Yields the faults of one part of the plan, with key paths below that part."""

    def __init__(self, plan: Dialplan, config: GatewayConfig) -> None:
        self._contexts = plan.contexts
        self._agents = list(config.agents)
        self._trunks = [trunk.name for trunk in config.trunks]
        self._destinations = destinations(config)
        self._calls_out = bool(config.outgoing.allow)
        self._jumped_to = {
            (jump.context or name, jump.extension)
            for name, context in plan.contexts.items()
            for extension in context.extensions
            for step in extension.steps
            for _, jump in _jumps(step.action)
        }
        self._collected = sorted(
            step.collect.into
            for context in plan.contexts.values()
            for extension in context.extensions
            for step in extension.steps
            if step.collect
        )

    def context(self, name: str, context: Context) -> Iterator[Fault]:
        for index, other in enumerate(context.include):
            if other not in self._contexts:
                known = did_you_mean(other, list(self._contexts))
                yield ("include", index), f'no context "{other}"{known}'
            elif name in _included(other, self._contexts):
                yield ("include", index), f'"{other}" includes "{name}" again: a loop'
        seen: set[str] = set()
        for index, extension in enumerate(context.extensions):
            at = ("extensions", index)
            if extension.name in seen:
                yield (*at, "name"), f'"{extension.name}" exists in this context already'
            seen.add(extension.name)
            for loc, text in self._extension(name, extension):
                yield (*at, *loc), text

    def _extension(self, context: str, extension: Extension) -> Iterator[Fault]:
        if extension.trunk and extension.trunk not in self._trunks:
            known = did_you_mean(extension.trunk, self._trunks)
            yield ("trunk",), f'no trunk "{extension.trunk}"{known}'
        if extension.jump_only and (context, extension.name) not in self._jumped_to:
            yield ("jump_only",), "no goto or branch leads here: it is never reached"
        for index, (before, _) in enumerate(pairwise(extension.steps), 1):
            if _never_goes_on(before.action):
                yield ("steps", index), f"is never reached: {before.name} before it does not go on"
        for index, step in enumerate(extension.steps):
            for loc, text in self._step(context, step):
                yield ("steps", index, step.name, *loc), text

    def _step(self, context: str, step: Step) -> Iterator[Fault]:
        action = step.action
        for key, file in _recordings(action):
            if fault := _recording_fault(file):
                yield (key,), fault
        for key, text in _texts(action):
            yield from (((key,), fault) for fault in self._placeholder_faults(text))
        for loc, jump in _jumps(action):
            yield from ((loc, fault) for fault in self._jump_faults(context, jump))
        agent = action.agent if isinstance(action, Say | Talk | Collect | Transfer) else ""
        if agent and agent not in self._agents:
            yield ("agent",), f'no agent "{agent}"{did_you_mean(agent, self._agents)}'
        if isinstance(action, Transfer):
            yield from ((("target",), fault) for fault in self._target_faults(action.target))
        if isinstance(action, Branch) and action.on not in self._collected:
            yield ("on",), f'no collect has into = "{action.on}"'

    def _target_faults(self, target: str) -> Iterator[str]:
        example = dict.fromkeys(placeholders(target), "1")
        if not is_target(fill(target, example)):
            yield target_fault(target)
        elif example:  # whether it fits is known in the call only
            if not self._calls_out:
                yield (
                    "outgoing calls are off: name in [outgoing] allow where this may go, such as"
                    f' "{fill(target, dict.fromkeys(example, "*"))}"'
                )
        elif (verdict := self._destinations.verdict(target)) != "allowed":
            yield not_allowed(target, verdict)

    def _placeholder_faults(self, text: str) -> Iterator[str]:
        known = [*NAMES, *(f"collected.{name}" for name in self._collected)]
        for name in placeholders(text):
            if name not in known and not is_known(name):
                yield f"unknown placeholder {{{name}}}{did_you_mean(name, known)}"

    def _jump_faults(self, context: str, jump: Jump) -> Iterator[str]:
        name = jump.context or context
        if name not in self._contexts:
            yield f'no context "{name}"{did_you_mean(name, list(self._contexts))}'
            return
        known = [extension.name for extension in self._contexts[name].extensions]
        if jump.extension not in known:
            guess = did_you_mean(jump.extension, known)
            yield f'no extension "{jump.extension}" in context "{name}"{guess}'


def _included(name: str, contexts: Mapping[str, Context]) -> set[str]:
    """Collect a context and all that it includes, however deep."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found and name in contexts:
            found.add(name)
            waiting.extend(contexts[name].include)
    return found


def _never_goes_on(action: Action) -> bool:
    return isinstance(action, HangUp | Jump) or (
        isinstance(action, Branch) and action.default is not None
    )


def _texts(action: Action) -> Iterator[tuple[str, str]]:
    match action:
        case Say(text=str(text)):
            yield "text", text
        case Collect():
            yield "prompt", action.prompt
            yield "retry_prompt", action.retry_prompt
        case Transfer():
            yield "target", action.target
            yield "announce", action.announce


def _jumps(action: Action) -> Iterator[tuple[KeyPath, Jump]]:
    match action:
        case Jump():
            yield ("extension",), action
        case Branch():
            for key, jump in action.cases.items():
                yield ("cases", key), jump
            if action.default:
                yield ("default",), action.default


def _recordings(action: Action) -> Iterator[tuple[str, Path]]:
    match action:
        case Say(file=Path() as file):
            yield "file", file
        case Collect(prompt_file=Path() as file):
            yield "prompt_file", file


def _recording_fault(path: Path) -> str:
    try:
        read_wav(path)
    except FileNotFoundError:
        return f"file not found: {path}"
    except OSError as error:
        return f"{path}: {error.strerror}"
    except UnsupportedFormat as error:
        return str(error)
    return ""


def _with_paths(context: Context, folder: Path) -> Context:
    extensions = tuple(
        extension.model_copy(
            update={"steps": tuple(_step_with_paths(step, folder) for step in extension.steps)}
        )
        for extension in context.extensions
    )
    return context.model_copy(update={"extensions": extensions})


def _step_with_paths(step: Step, folder: Path) -> Step:
    update = {key: folder / path.expanduser() for key, path in _recordings(step.action)}
    if not update:
        return step
    return step.model_copy(update={step.name: step.action.model_copy(update=update)})
