"""Settings: how turn taking was set in a call, and how it is to be set in a replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gateway.config.faults import did_you_mean
from gateway.config.models import SilenceConfig, TurnConfig
from gateway.config.models.table import flat, nested
from gateway.errors import GatewayError
from gateway.wording import plain

_SILENCE = "reprompt_after_s"
_OLD_SWITCHES = {"barge_in": "barge_in.interruptible"}
"""Keys that became tables."""


class WrongSetting(GatewayError):  # noqa: N818 (says what is wrong with `--set`)
    """A `--set` that turn taking does not know."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that turn taking is made of."""

    turn: TurnConfig
    silence_s: float
    remarks: tuple[str, ...] = ()


def settings_of(recorded: Mapping[str, Any]) -> Settings:
    """Read the settings that a bundle holds; keys of other versions are remarked.

    Raises:
        KeyError, ValueError: they are none.
    """
    turn = flat(recorded["turn"])
    if "barge_in" in turn:  # was a switch once
        turn[_OLD_SWITCHES["barge_in"]] = turn.pop("barge_in")
    known = flat(TurnConfig().model_dump())
    strange = sorted(turn.keys() - known.keys())
    new = sorted(known.keys() - turn.keys())
    remarks = []
    if strange:
        remarks.append(f"settings that this version does not have: {', '.join(strange)}")
    if new:
        remarks.append(f"newer settings are at their defaults: {', '.join(new)}")
    config = TurnConfig.model_validate(nested({key: turn[key] for key in turn if key in known}))
    return Settings(config, float(recorded["silence_s"]), tuple(remarks))


def changed(settings: Settings, changes: Iterable[str]) -> Settings:
    """Apply `--set`.

    Args:
        settings: as recorded.
        changes: `key=value` each: a key of `[agents.NAME.turn]`, with dots for those of its
            tables (`barge_in.verdict_ms`), or `reprompt_after_s`.

    Raises:
        WrongSetting: no such key, or no such value.
    """
    turn = flat(settings.turn.model_dump())
    silence_s: float | str = settings.silence_s
    for key, value in map(_split, changes):
        if key == _SILENCE:
            silence_s = value
        elif key in turn:
            turn[key] = value
        else:
            known = [*turn, _SILENCE]
            raise WrongSetting(f'--set: no setting "{key}"{did_you_mean(key, known)}')
    try:
        silence = SilenceConfig.model_validate({_SILENCE: silence_s})
        return Settings(TurnConfig.model_validate(nested(turn)), silence.reprompt_after_s)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        raise WrongSetting(f"--set {key}={fault['input']}: {plain(fault)}") from error


def differences(before: Settings, after: Settings) -> Iterator[str]:
    """Yield each changed setting in words."""
    old, new = flat(before.turn.model_dump()), flat(after.turn.model_dump())
    for key in old:
        if old[key] != new[key]:
            yield f"{key} {old[key]} -> {new[key]}"
    if before.silence_s != after.silence_s:
        yield f"{_SILENCE} {before.silence_s:g} -> {after.silence_s:g}"


def _split(change: str) -> tuple[str, str]:
    key, equals, value = change.partition("=")
    key = key.strip().removeprefix("turn.").removeprefix("silence.")
    if not (key and equals):
        raise WrongSetting(f'--set must be key=value, not "{change}"')
    return _OLD_SWITCHES.get(key, key), value.strip()
