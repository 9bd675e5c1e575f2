"""An agent's speech-to-speech engine against the rest of the agent: what cannot work together."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from pydantic import BaseModel

from gateway.config.checks import Fault
from gateway.config.engine_table import EngineTable
from gateway.config.models import AgentConfig
from gateway.providers import registry
from gateway.providers.kit import rules
from gateway.providers.kit.advice import Advice
from gateway.providers.speech_to_speech import SpeechToSpeech

_BY_WORDS = (
    "eager_ms", "sure_end_ms", "whole_ms", "expected_ms", "unfinished_ms", "dictation_ms",
    "reopen_ms",
)  # fmt: skip
"""Settings of `turn` that judge what was said: an engine that hears by itself gives us no words."""
_BY_SILENCE = ("doubtful_ms", "eagerness")
"""Settings of `turn` that end a turn by its silence."""


def speech_faults(agent: AgentConfig, table: EngineTable) -> Iterator[Fault]:
    """Yield what makes a checked `s2s` table impossible; key paths are below the agent."""
    owners: dict[str, str] = {}
    for leaf in table.leaves():
        engine = registry.create("s2s", leaf)
        owners.setdefault(engine.turns, leaf.name)
        yield from _leaf_faults(agent, leaf, engine)
    if len(owners) > 1:
        ends = {"engine": "ends turns itself", "gateway": "leaves turns to the gateway",
                "none": "knows no turns"}  # fmt: skip
        who = ", ".join(f'"{name}" {ends[owner]}' for owner, name in owners.items())
        yield ("s2s",), f"its engines differ in what ends the caller's turns: {who}"


def _leaf_faults(agent: AgentConfig, leaf: EngineTable, engine: SpeechToSpeech) -> Iterator[Fault]:
    if not engine.takes_tools and (agent.tools or agent.builtin_tools or agent.transfer_targets):
        text = f"{_named(leaf)}cannot call functions: set tools = [] and builtin_tools = []"
        yield ("s2s", "provider"), text
    wants_greeting = agent.s2s is not None and agent.s2s.greeting == "engine" and agent.greeting
    if wants_greeting and not getattr(engine, "takes_greeting", True):
        text = f'{leaf.provider} cannot say given words with these settings: write "voice"'
        yield ("s2s", "greeting"), text
    if agent.s2s is not None and agent.s2s.warm_sessions and not _may_be_warm(engine):
        text = f"must be 0: with {leaf.provider} an idle session costs money, or a place"
        yield ("s2s", "warm_sessions"), text
    if not leaf.name:
        yield from engine_faults("s2s", leaf)


def _named(leaf: EngineTable) -> str:
    """Return the beginning of a sentence about an engine behind a router."""
    return f'"{leaf.name}" ' if leaf.name else ""


def engine_faults(kind: registry.Kind, table: EngineTable) -> Iterator[Fault]:
    """Yield what makes a checked table of any kind impossible by itself."""
    url = getattr(registry.settings_of(kind, table), "base_url", "")
    if fault := _address_fault(url if isinstance(url, str) else ""):
        yield (kind, "base_url"), fault
    yield from advice(kind, table, "faults")


def _may_be_warm(engine: SpeechToSpeech) -> bool:
    return bool(getattr(engine, "may_be_warm", False))


def _address_fault(url: str) -> str:
    """Report audio and keys that would travel unprotected; names are looked up in calls only."""
    parts = urlsplit(url)
    if parts.scheme != "ws" or not parts.hostname:
        return ""
    try:
        address = str(ipaddress.ip_address(parts.hostname))
    except ValueError:
        return ""
    if rules.is_near(address):
        return ""
    return f"ws:// to {address} would send keys and audio unprotected: write wss://"


_PRIVATE_NAMES = ("local", "localdomain", "localhost", "internal", "lan", "home", "test", "arpa")
"""Last labels of names that stand for addresses of private networks."""


def name_cautions(kind: registry.Kind, table: EngineTable) -> Iterator[Fault]:
    """Yield ws:// addresses by names that look public: a call looks them up, and refuses them."""
    url = getattr(registry.settings_of(kind, table), "base_url", "")
    if fault := _name_caution(url if isinstance(url, str) else ""):
        yield (kind, "base_url"), fault


def _name_caution(url: str) -> str:
    parts = urlsplit(url)
    name = (parts.hostname or "").rstrip(".")
    if parts.scheme != "ws" or "." not in name or name.rpartition(".")[2] in _PRIVATE_NAMES:
        return ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return (
            f"ws:// to {name} is refused in a call unless the name stands for addresses of this"
            " host or a private network only: write wss://"
        )
    return ""


def advice(kind: registry.Kind, table: EngineTable, hook: str) -> Iterator[Fault]:
    """Yield what a provider's `faults` or `cautions` tells of its settings."""
    module = registry.load(kind, table.provider)
    find: Callable[[BaseModel], Iterator[Advice]] | None = getattr(module, hook, None)
    for key, text in find(registry.settings_of(kind, table)) if find else ():
        yield (kind, key), text


def speech_cautions(agent: AgentConfig) -> Iterator[Fault]:
    """Yield what of an agent with a speech-to-speech engine may not be meant."""
    table = agent.s2s
    if table is None:
        return
    yield from _turn_cautions(agent, registry.create("s2s", next(table.leaves())))
    default: EngineTable = AgentConfig.model_fields["llm"].default
    is_example = agent.llm.provider == default.provider and not agent.llm.rest()
    if table.on_failure == "cascade" and is_example:
        text = (
            "is not set: the example of a front desk would stand in for the engine; name a"
            ' language model, or write on_failure = "apologize" in s2s'
        )
        yield ("llm",), text


def _turn_cautions(agent: AgentConfig, engine: SpeechToSpeech) -> Iterator[Fault]:
    keys = _BY_WORDS if engine.turns == "gateway" else (*_BY_WORDS, *_BY_SILENCE)
    why = {
        "engine": "the engine ends turns",
        "gateway": "the engine's words come too late for it",
        "none": "the engine has no turns",
    }[engine.turns]
    stand_in = ": only the stand-in heeds it"
    is_set = agent.turn.model_fields_set
    for key in keys:
        if key in is_set:
            yield ("turn", key), f"has no effect, because {why}{stand_in}"
    if engine.turns == "none":
        for key in sorted(agent.turn.barge_in.model_fields_set):
            text = f"has no effect, because both sides speak at once{stand_in}"
            yield ("turn", "barge_in", key), text
