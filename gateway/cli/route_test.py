"""`gateway route-test`: which dialplan rule takes a call, and why the others do not."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from gateway.call.line import CallFacts
from gateway.config.dialplans import Action, Dialplan
from gateway.config.faults import did_you_mean
from gateway.config.models import TrunkConfig
from gateway.dialplan.router import Route, Verdict, entry_context, explain, route
from gateway.errors import GatewayError
from gateway.setup.loader import load_config, load_dialplan
from gateway.sip.message import SipRequest
from gateway.sip.parties import called_from_words, called_party, caller_number


def run(
    config_path: Path | None, called: str, caller: str, trunk: str, headers: Sequence[str]
) -> int:
    """Print every rule that was considered, then the route.

    Args:
        config_path: None = the built-in configuration.
        called: number, or account, in the Request-URI.
        caller: number of the From side.
        trunk: name of the trunk, empty = none.
        headers: `Name=value` each.

    Raises:
        ConfigError: the configuration or the dialplan is wrong.
        GatewayError: there is no such trunk, or a header has no value.
    """
    facts = _facts(called, caller, trunk, headers)
    config = load_config(config_path)
    plan = load_dialplan(config)
    trunks = [each.name for each in config.trunks]
    if trunk and trunk not in trunks:
        raise GatewayError(f'no trunk "{trunk}"{did_you_mean(trunk, trunks)}')
    over = next((each for each in config.trunks if each.name == trunk), None)
    lines = [*_numbers(facts, over), *_report(plan, _as_received(facts, over))]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _request(facts: CallFacts) -> SipRequest:
    """Make the INVITE that such a call would begin with."""
    called, caller = (quote(number, safe="+*") for number in (facts.called, facts.caller))
    own = {"to": f"<sip:{called}@gateway>", "from": f"<sip:{caller}@carrier>"}
    headers = {name: (value,) for name, value in (own | dict(facts.headers)).items()}
    return SipRequest("INVITE", f"sip:{called}@gateway", headers)


def _as_received(facts: CallFacts, trunk: TrunkConfig | None) -> CallFacts:
    """Read the numbers from where the trunk has them."""
    request = _request(facts)
    called, caller = called_party(request, trunk).number, caller_number(request, trunk)
    return replace(facts, called=called, caller=caller)


def _numbers(facts: CallFacts, trunk: TrunkConfig | None) -> Iterator[str]:
    """Return header values for the numbers: the Request-URI is the value of --to."""
    if trunk is None:
        return
    found = called_party(_request(facts), trunk)
    yield f'called number: "{found.number}" by {found.origin} (trunk "{trunk.name}": ' + (
        f"called_from = {trunk.called_from}, {called_from_words(trunk)})"
    )
    caller = caller_number(_request(facts), trunk)
    yield f'caller number: "{caller}" (caller_from = {trunk.caller_from})'


def _facts(called: str, caller: str, trunk: str, headers: Sequence[str]) -> CallFacts:
    fields: dict[str, str] = {}
    for text in headers:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise GatewayError(f'--header must be NAME=VALUE, not "{text}"')
        fields[name.strip().lower()] = value.strip()
    return CallFacts(
        call_id="route-test",
        direction="in",
        called=called,
        caller=caller,
        trunk=trunk,
        headers=fields,
    )


def _report(plan: Dialplan, facts: CallFacts) -> Iterator[str]:
    over = f'over trunk "{facts.trunk}"' if facts.trunk else "over no trunk"
    yield f'call to "{facts.called}" from "{facts.caller}" {over}'
    yield f'enters context "{entry_context(plan, facts)}"'
    verdicts = explain(plan, facts)
    width = max((len(_name(verdict)) for verdict in verdicts), default=0)
    for verdict in verdicts:
        name = f"{_name(verdict):{width}}"
        yield f"  {verdict.outcome:12}  {name}  {verdict.why}  [{verdict.origin}]"
    yield from _route_lines(route(plan, facts))


def _route_lines(chosen: Route) -> Iterator[str]:
    if chosen.extension:
        yield f"route: {chosen.context}/{chosen.extension} ({chosen.explanation})"
    else:
        yield f"route: {chosen.explanation}"
    for number, action in enumerate(chosen.steps, 1):
        yield f"  {number}. {_words(action)}"


def _name(verdict: Verdict) -> str:
    return f"{verdict.context}/{verdict.extension}"


def _words(action: Action) -> str:
    values = action.model_dump(mode="json", exclude_unset=True)
    return " ".join([type(action).__name__, *(f"{key}={value!r}" for key, value in values.items())])
