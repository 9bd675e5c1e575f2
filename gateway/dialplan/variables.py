"""Values of the placeholders in a dialplan's texts and targets."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from gateway.call.line import CallFacts
from gateway.config.dialplans import Branch, Jump, fill
from gateway.conversation.call_variables import local_now, values_of
from gateway.placeholders import Values

_URI_SAFE = "-_.!~*'()+"
"""RFC 3261 section 25.1: marks that mean nothing anywhere in a SIP URI; `+` starts numbers."""


def fill_text(text: str, facts: CallFacts, collected: Mapping[str, str]) -> str:
    """Put what is known of the call, and `{collected.NAME}`, into a text to speak.

    Args:
        text: of a `say`, a prompt or an announcement.
        facts: of the call.
        collected: `into` names and the keys that were pressed.
    """
    return fill(text, _values(facts, collected))


def fill_uri(target: str, facts: CallFacts, collected: Mapping[str, str]) -> str:
    """Do the same for a SIP URI, with escapes: a caller's number cannot change the host."""
    values = _values(facts, collected)
    raw = {"called": facts.called, "caller": facts.caller, "trunk": facts.trunk}
    quoted = {name: quote(value, _URI_SAFE) for name, value in (dict(values) | raw).items()}
    return fill(target, Values(quoted))


def branch_target(branch: Branch, collected: Mapping[str, str]) -> Jump | None:
    """Choose where a branch goes; None = on to the next step."""
    return branch.cases.get(collected.get(branch.on, ""), branch.default)


def _values(facts: CallFacts, collected: Mapping[str, str]) -> Values:
    known = values_of(facts, local_now())
    return Values({**known, **{f"collected.{name}": value for name, value in collected.items()}})
