"""From a checked engine table to an engine, behind its router where it names one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.config.engine_table import EngineTable, Plan
from gateway.config.models import RoutedKind
from gateway.providers import registry
from gateway.routed.llm import RoutedModel
from gateway.routed.route import Router
from gateway.routed.s2s import RoutedSpeech
from gateway.routed.stt import RoutedRecognizer
from gateway.routed.tts import RoutedVoice

_MAKERS: Mapping[RoutedKind, Callable[[Router[Any]], object]] = {
    "llm": RoutedModel,
    "tts": RoutedVoice,
    "stt": RoutedRecognizer,
    "s2s": RoutedSpeech,
}
Find = Callable[[RoutedKind, EngineTable], Any]


def routed(kind: RoutedKind, plan: Plan, find: Find) -> object:
    """Make the engine of a router.

    Args:
        kind: what it does.
        plan: of its table.
        find: returns the engine of a table among its members.
    """
    engines = {name: find(kind, table) for name, table in plan.members.items()}
    return _MAKERS[kind](Router.of(kind, plan, engines))


def made_engine(kind: RoutedKind, table: EngineTable, made: list[Any]) -> Any:  # noqa: ANN401
    """Make the engine of a table by itself, for a program that is no gateway.

    Args:
        kind: what it does.
        table: checked.
        made: every engine that was made is appended: the caller warms and closes them.
    """
    if table.plan is not None:
        return routed(kind, table.plan, lambda of, member: made_engine(of, member, made))
    engine = registry.create(kind, table)
    made.append(engine)
    return engine
