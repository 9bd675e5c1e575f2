"""Values of the placeholders in a dialplan's texts and targets."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from gateway.config.dialplans import Branch, Jump, fill
from gateway.conversation.line import CallFacts

_URI_SAFE = "-_.!~*'()+"
"""RFC 3261 section 25.1: marks that mean nothing anywhere in a SIP URI; `+` starts numbers."""


def fill_text(text: str, facts: CallFacts, collected: Mapping[str, str]) -> str:
    """Put `{called}`, `{caller}`, `{trunk}` and `{collected.NAME}` into a text to speak.

    Args:
        text: of a `say`, a prompt or an announcement.
        facts: of the call.
        collected: `into` names and the keys that were pressed.
    """
    return fill(text, _values(facts, collected))


def fill_uri(target: str, facts: CallFacts, collected: Mapping[str, str]) -> str:
    """Do the same for a SIP URI, with escapes: a caller's number cannot change the host."""
    values = _values(facts, collected)
    return fill(target, {name: quote(value, _URI_SAFE) for name, value in values.items()})


def branch_target(branch: Branch, collected: Mapping[str, str]) -> Jump | None:
    """Choose where a branch goes; None = on to the next step."""
    return branch.cases.get(collected.get(branch.on, ""), branch.default)


def _values(facts: CallFacts, collected: Mapping[str, str]) -> dict[str, str]:
    values = {"called": facts.called, "caller": facts.caller, "trunk": facts.trunk}
    return values | {f"collected.{name}": value for name, value in collected.items()}
