"""Does a rule fit a call, and how closely; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.call.line import CallFacts
from gateway.config.dialplans import Extension

Rank = tuple[int, int]
"""Kind of the condition (exact 3, prefix 2, regex 1, none 0), then the prefix's length."""

_NONE: Rank = (0, 0)


@dataclass(frozen=True, slots=True, order=True)
class Specificity:
    """How closely a rule describes the calls that it takes; the greater wins.

    Compared in this order, so that the called number counts most.
    """

    called: Rank = _NONE
    caller: Rank = _NONE
    has_trunk: bool = False
    headers: int = 0
    headers_regex: int = 0


def specificity(rule: Extension) -> Specificity:
    """Weigh a rule by its conditions alone; no call is needed for that."""
    return Specificity(
        called=_rank(rule.called, rule.called_prefix, rule.called_regex),
        caller=_rank(rule.caller, rule.caller_prefix, rule.caller_regex),
        has_trunk=rule.trunk is not None,
        headers=len(rule.headers),
        headers_regex=len(rule.headers_regex),
    )


def misfit(rule: Extension, facts: CallFacts) -> str:
    """Return which condition of a rule a call does not meet; empty when it meets all."""
    if rule.jump_only:
        return "it is reached by a jump only"
    numbers = (
        _number_misfit("called", facts.called, rule.called, rule.called_prefix, rule.called_regex),
        _caller_misfit(rule, facts.caller),
    )
    trunk = ""
    if rule.trunk is not None and rule.trunk != facts.trunk:
        trunk = f"{_trunk(facts.trunk)} is not {_trunk(rule.trunk)}"
    return next(filter(None, (*numbers, trunk, _header_misfit(rule, facts))), "")


def describe(rule: Extension) -> str:
    """Put the conditions of a rule into words."""
    if rule.jump_only:
        return "no call, only jumps"
    parts = [
        *_number_words("called", rule.called, rule.called_prefix, rule.called_regex),
        *_number_words("caller", rule.caller, rule.caller_prefix, rule.caller_regex),
    ]
    if rule.trunk is not None:
        parts.append(f"over {_trunk(rule.trunk)}")
    parts += [f'header {name} is "{value}"' for name, value in rule.headers.items()]
    parts += [f"header {name} matches /{regex}/" for name, regex in rule.headers_regex.items()]
    return ", ".join(parts) or "any call"


def _rank(exact: tuple[str, ...] | None, prefix: str | None, regex: str | None) -> Rank:
    if exact is not None:
        return (3, 0)
    if prefix is not None:
        return (2, len(prefix))
    return (1, 0) if regex is not None else _NONE


def _caller_misfit(rule: Extension, number: str) -> str:
    conditions = (rule.caller, rule.caller_prefix, rule.caller_regex)
    found = _number_misfit("caller", number, *conditions)
    if found and not number and not _number_misfit("caller", "anonymous", *conditions):
        return ""  # written when a withheld number was "anonymous"; goes with the next version
    return found


def _number_misfit(
    side: str, number: str, exact: tuple[str, ...] | None, prefix: str | None, regex: str | None
) -> str:
    if exact is not None and number not in exact:
        return f'{side} "{number}" is not {_any_of(exact)}'
    if prefix is not None and not number.startswith(prefix):
        return f'{side} "{number}" does not start with "{prefix}"'
    if regex is not None and not re.fullmatch(regex, number):
        return f'{side} "{number}" does not match /{regex}/'
    return ""


def _number_words(
    side: str, exact: tuple[str, ...] | None, prefix: str | None, regex: str | None
) -> list[str]:
    if exact is not None:
        return [f"{side} is {_any_of(exact)}"]
    if prefix is not None:
        return [f'{side} starts with "{prefix}"']
    return [f"{side} matches /{regex}/"] if regex is not None else []


def _header_misfit(rule: Extension, facts: CallFacts) -> str:
    for name, value in rule.headers.items():
        if facts.headers.get(name.lower()) != value:
            return f'header {name} {_got(name, facts)}, not "{value}"'
    for name, regex in rule.headers_regex.items():
        actual = facts.headers.get(name.lower())
        if actual is None or not re.fullmatch(regex, actual):
            return f"header {name} {_got(name, facts)}, which does not match /{regex}/"
    return ""


def _got(name: str, facts: CallFacts) -> str:
    value = facts.headers.get(name.lower())
    return "is missing" if value is None else f'is "{value}"'


def _trunk(name: str) -> str:
    return f'trunk "{name}"' if name else "no trunk"


def _any_of(numbers: tuple[str, ...]) -> str:
    return " or ".join(f'"{number}"' for number in numbers)
