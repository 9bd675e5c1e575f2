"""Choose the rule for a call and explain why the others do not fit; pure.

A call enters the context of its trunk, else `default`.  Of the rules there that fit, the most
specific wins (`conditions.Specificity`), of equals the first in the file.  Only when none fits are
the included contexts searched, one after the other, each with what it includes.  A call that no
rule takes goes to the default agent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.call.line import CallFacts
from gateway.config.dialplans import Action, Answer, Dialplan, Extension, Jump, Talk
from gateway.dialplan.conditions import describe, misfit, specificity

DEFAULT_CONTEXT = "default"


@dataclass(frozen=True, slots=True)
class Route:
    """What happens to a call."""

    context: str
    """Where the rule is; relative jumps start here."""
    extension: str
    """Name of the rule; empty = no rule, the default agent."""
    steps: tuple[Action, ...]
    explanation: str
    """Why this rule, in a sentence for logs and people."""

    @property
    def rule(self) -> str:
        """Name of the rule, for records and logs."""
        return f"{self.context}/{self.extension}" if self.extension else "default agent"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule that was considered."""

    context: str
    extension: str
    origin: str
    """`file:line`."""
    outcome: Literal["wins", "loses", "does not fit"]
    why: str


def route(plan: Dialplan, facts: CallFacts) -> Route:
    """Choose what happens to a call.  Every call gets a route."""
    entry = entry_context(plan, facts)
    for context in _search_order(plan, entry):
        rule = _best(plan, context, facts)
        if rule is not None:
            return _route(context, rule, describe(rule))
    return _default_route(plan, entry)


def explain(plan: Dialplan, facts: CallFacts) -> list[Verdict]:
    """Judge every rule that the call can reach, in the order of the search."""
    verdicts: list[Verdict] = []
    winner = ""
    for context in _search_order(plan, entry_context(plan, facts)):
        best = None if winner else _best(plan, context, facts)
        if best is not None:
            winner = f"{context}/{best.name}"
        verdicts += [
            _verdict(plan, context, rule, facts, best=best, winner=winner)
            for rule in plan.contexts[context].extensions
        ]
    return verdicts


def follow(plan: Dialplan, context: str, jump: Jump) -> Route:
    """Return the route that a `goto` or `branch` leads to; its conditions do not matter.

    Args:
        plan: a checked dialplan.
        context: where the jumping rule is.
        jump: a jump that the plan holds.
    """
    context = jump.context or context
    rule = next(e for e in plan.contexts[context].extensions if e.name == jump.extension)
    return _route(context, rule, "by a jump")


def entry_context(plan: Dialplan, facts: CallFacts) -> str:
    """Name the context that a call enters."""
    return plan.trunk_contexts.get(facts.trunk, DEFAULT_CONTEXT)


def _search_order(plan: Dialplan, entry: str) -> Iterator[str]:
    """Depth first, each context once."""
    seen: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in plan.contexts:
            continue
        seen.add(name)
        yield name
        waiting.extend(reversed(plan.contexts[name].include))


def _best(plan: Dialplan, context: str, facts: CallFacts) -> Extension | None:
    rules = [rule for rule in plan.contexts[context].extensions if not misfit(rule, facts)]
    return max(rules, key=specificity, default=None)  # of equals the first


def _route(context: str, rule: Extension, explanation: str) -> Route:
    return Route(context, rule.name, tuple(step.action for step in rule.steps), explanation)


def _default_route(plan: Dialplan, entry: str) -> Route:
    why = f'no rule of context "{entry}" fits' if entry in plan.contexts else "there are no rules"
    steps = (Answer(), Talk(agent=plan.default_agent))
    return Route(entry, "", steps, f"{why}: default agent")


def _verdict(
    plan: Dialplan,
    context: str,
    rule: Extension,
    facts: CallFacts,
    *,
    best: Extension | None,
    winner: str,
) -> Verdict:
    origin = plan.origins.get((context, rule.name), "")
    if why := misfit(rule, facts):
        return Verdict(context, rule.name, origin, "does not fit", why)
    if rule is best:
        return Verdict(context, rule.name, origin, "wins", describe(rule))
    if best is None:
        why = f"{winner} is in a context that is searched earlier"
    elif specificity(rule) < specificity(best):
        why = f"{winner} is more specific ({describe(best)})"
    else:
        why = f"{winner} is as specific and comes first"
    return Verdict(context, rule.name, origin, "loses", why)
