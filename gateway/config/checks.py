"""What the models cannot say: rules that tie several values of gateway.toml together.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address, ip_network
from zoneinfo import available_timezones

from pydantic import SecretStr

from gateway.api_keys import is_hash
from gateway.config.destinations import (
    Destinations,
    Verdict,
    is_number,
    opens_names_only,
    pattern_fault,
)
from gateway.config.edge_checks import edge_faults
from gateway.config.faults import did_you_mean
from gateway.config.locate import KeyPath
from gateway.config.models import (
    AgentConfig,
    FillerConfig,
    GatewayConfig,
    RecordsConfig,
    SipConfig,
    TrunkConfig,
)
from gateway.config.port_assignment import port_assignments
from gateway.config.store_url import StoreUrl
from gateway.config.webhook_checks import webhook_faults
from gateway.placeholders import NAMES, is_known, names_in

Fault = tuple[KeyPath, str]

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_DOTTED_NUMBERS = re.compile(r"[0-9.]+")
_SIP_URI = re.compile(r"sips?:[^\s<>\"]+")
_CALLER_ID = re.compile(r"[A-Za-z0-9+*#._-]{1,64}", re.ASCII)
_POSTGRESQL = re.compile(r"postgres(ql)?://")
_TOOL = re.compile(r"(?:[A-Za-z_][\w.]*|.+\.py):[A-Za-z_]\w*")


def check(config: GatewayConfig) -> Iterator[Fault]:
    """Yield every broken rule with the key it is about."""
    yield from _sip_faults(config)
    yield from _port_faults(config)
    yield from _worker_faults(config)
    yield from _http_faults(config)
    yield from _records_faults(config.records)
    yield from _trunk_faults(config)
    yield from edge_faults(config)
    yield from _agent_faults(config)
    yield from _outgoing_faults(config)
    yield from webhook_faults(config)


def is_sip_uri(text: str) -> bool:
    """Return whether this is a URI that a call can be sent to."""
    return _SIP_URI.fullmatch(text) is not None


def is_target(text: str) -> bool:
    """Return whether a caller can be transferred here: to a URI, or to a number."""
    return is_sip_uri(text) or is_number(text)


def target_fault(text: str) -> str:
    """Describe what is wrong with a target; empty = nothing."""
    return f'must be a SIP URI (sip:...) or a number, not "{text}"'


def is_loopback(address: str) -> bool:
    """Return whether a socket bound here is out of reach for other machines."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _sip_faults(config: GatewayConfig) -> Iterator[Fault]:
    sip = config.sip
    if not _is_ipv4(sip.bind):
        yield ("sip", "bind"), f'must be an IPv4 address such as "127.0.0.1", not "{sip.bind}"'
    elif not (is_loopback(sip.bind) or sip.allow_sources or sip.users or config.trunks):
        yield (
            ("sip", "bind"),
            "anyone who reaches this address could call in: set sip.allow_sources (such as"
            ' ["192.168.0.0/16"]), [sip.users] or a [[trunks]]',
        )
    if sip.public_address and not _is_host(sip.public_address):
        yield ("sip", "public_address"), "must be an IPv4 address or a host name, without a port"
    for index, source in enumerate(sip.allow_sources):
        if fault := _network_fault(source):
            yield ("sip", "allow_sources", index), fault
    for name, password in sip.users.items():
        if not password.get_secret_value():
            yield ("sip", "users", name), "the password is empty"
    if sip.session_min_s > sip.session_expires_s:
        yield ("sip", "session_min_s"), "must not be greater than session_expires_s"
    yield from _list_faults(sip)


def _list_faults(sip: SipConfig) -> Iterator[Fault]:
    for key, names in {"transports": sip.transports, "codecs": sip.codecs}.items():
        if not names:
            yield ("sip", key), "must name at least one"
        elif len(set(names)) < len(names):
            yield ("sip", key), "names one twice"


def _port_faults(config: GatewayConfig) -> Iterator[Fault]:
    sip, http = config.sip, config.http
    low, high = sip.rtp_ports
    # RTP and RTCP for every slot, twice: ports of a call just ended may still be in use.
    needed = sip.max_calls * 4
    key = ("sip", "rtp_ports")
    if low >= high:
        yield key, "the first port must be less than the last"
    elif low % 2:
        yield key, "the first port must be even (RFC 3550 section 11)"
    elif low < 1024:
        yield key, "ports below 1024 are reserved for the system"
    elif high - low + 1 < needed:
        yield key, f"{sip.max_calls} calls need at least {needed} ports, this has {high - low + 1}"
    if low <= sip.port <= high:
        yield ("sip", "port"), "lies inside rtp_ports"
    if http.port == sip.port and "tcp" in sip.transports:
        at, other = ("http", "sip") if "port" in http.model_fields_set else ("sip", "http")
        yield (at, "port"), f"is the same as {other}.port, and SIP takes TCP too"


def _worker_faults(config: GatewayConfig) -> Iterator[Fault]:
    workers, sip = config.workers, config.sip
    if workers.edge == "none":
        if workers.count not in (1, "auto"):
            yield (
                ("workers", "count"),
                'more than one worker need an edge in front of them: set workers.edge = "kamailio"',
            )
        return
    count = workers.count if isinstance(workers.count, int) else 1
    ports = range(sip.port + 1, sip.port + 2 * count + 1)
    why = f"workers use sip.port + 1 to + {2 * count} (each its own, and one to be replaced by)"
    if ports[-1] > 65535:
        yield ("sip", "port"), f"{why}: no such ports"
    if sip.rtp_ports[0] <= ports[-1] and sip.rtp_ports[1] >= ports[0]:
        yield ("sip", "rtp_ports"), f"{why}: they lie inside"
    if config.http.port in ports and "tcp" in sip.transports:
        yield ("http", "port"), f"{why}: this is one of them"
    try:
        port_assignments(config, count)
    except ValueError as error:
        yield ("sip", "rtp_ports"), f"for {count} workers and those that follow them: {error}"


def _http_faults(config: GatewayConfig) -> Iterator[Fault]:
    http = config.http
    is_keyless = not (http.api_keys or http.read_keys or http.metrics_keys)
    if not is_loopback(http.bind) and is_keyless:
        yield (
            ("http", "bind"),
            "other machines could place calls: set http.api_keys (such as"
            ' ["${GATEWAY_API_KEY}"]) or bind = "127.0.0.1"',
        )
    for name in ("api_keys", "read_keys", "metrics_keys"):
        keys: tuple[SecretStr, ...] = getattr(http, name)
        for index, key in enumerate(keys):
            if fault := _key_fault(key.get_secret_value()):
                yield ("http", name, index), fault


def _key_fault(key: str) -> str:
    if not key:
        return "the key is empty"
    if key.startswith("sha256:") and not is_hash(key):
        return 'must be "sha256:" and 64 digits of 0-9a-f, as `gateway key new` prints it'
    return ""


def _records_faults(records: RecordsConfig) -> Iterator[Fault]:
    database = records.database.get_secret_value()
    if database and not _POSTGRESQL.match(database):
        yield (
            ("records", "database"),
            "must be postgresql://USER:PASSWORD@HOST/NAME, or empty for SQLite in the directory",
        )
    if records.store:
        try:
            StoreUrl.parse(records.store)
        except ValueError as error:
            yield ("records", "store"), str(error)
    if records.redact and not _TOOL.fullmatch(records.redact):
        text = 'must be "package.module:function" or "path/to/file.py:function"'
        yield ("records", "redact"), f'{text}, not "{records.redact}"'
    if records.keep_days and records.keep_audio_days >= records.keep_days:
        yield ("records", "keep_audio_days"), "is not shorter than keep_days: leave it out"


def _trunk_faults(config: GatewayConfig) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, trunk in enumerate(config.trunks):
        for key, text in _one_trunk_faults(trunk):
            yield ("trunks", index, key), text
        if trunk.name in seen:
            yield ("trunks", index, "name"), f'a trunk named "{trunk.name}" exists already'
        seen.add(trunk.name)
        if trunk.context != "default" and config.dialplan.directory is None:
            text = f'there is no context "{trunk.context}": [dialplan] directory is not set'
            yield ("trunks", index, "context"), text


def _one_trunk_faults(trunk: TrunkConfig) -> Iterator[tuple[str, str]]:
    for key in ("server", "outbound_proxy"):
        place = getattr(trunk, key)
        host, colon, port = place.partition(":")
        is_port = not colon or (port.isdecimal() and 0 < int(port) < 65536)
        if (place or key == "server") and not (_is_host(host) and is_port):
            said = f'not "{place}"' if "@" not in place else "credentials go into user and password"
            yield key, f"must be host or host:port, {said}"
    if trunk.caller_id and not _CALLER_ID.fullmatch(trunk.caller_id):
        yield "caller_id", f'must be a number or a user name, not "{trunk.caller_id}"'
    if trunk.retry_min_s > trunk.retry_max_s:
        yield "retry_min_s", "must not be greater than retry_max_s"
    if trunk.password.get_secret_value() and not trunk.user:
        yield "password", "there is a password but no user"


def _agent_faults(config: GatewayConfig) -> Iterator[Fault]:
    names = list(config.agents)
    if not names:
        yield ("agents",), "at least one agent is needed: [agents.NAME]"
    if config.default_agent and config.default_agent not in names:
        text = f'no agent "{config.default_agent}"{did_you_mean(config.default_agent, names)}'
        yield ("default_agent",), text
    for name, agent in config.agents.items():
        for loc, text in _one_agent_faults(agent):
            yield ("agents", name, *loc), text
        for index, target in enumerate(agent.agent_targets):
            if target == name:
                yield ("agents", name, "agent_targets", index), "is this agent itself"
            elif target not in names:
                text = f'no agent "{target}"{did_you_mean(target, names)}'
                yield ("agents", name, "agent_targets", index), text


def _one_agent_faults(agent: AgentConfig) -> Iterator[Fault]:
    for index, tool in enumerate(agent.tools):
        if not _TOOL.fullmatch(tool):
            text = 'must be "package.module:function" or "path/to/file.py:function"'
            yield ("tools", index), f'{text}, not "{tool}"'
    yield from _placeholder_faults(agent)
    for name, target in agent.transfer_targets.items():
        if not is_target(target):
            yield ("transfer_targets", name), target_fault(target)
    if agent.turn.stop_probability > agent.turn.start_probability:
        yield ("turn", "stop_probability"), "must not be greater than start_probability"
    yield from _silent_faults(agent)
    for loc, text in _filler_faults(agent.filler):
        yield ("filler", *loc), text


def _placeholder_faults(agent: AgentConfig) -> Iterator[Fault]:
    for key in ("greeting", "instructions"):
        for name in names_in(getattr(agent, key)):
            if not is_known(name):
                known = [*NAMES, "header.NAME", "var.NAME"]
                guess = did_you_mean(name, known) or f"; known: {', '.join(known)}"
                literal = f" ({{{{{name}}}}} stands for itself)"
                yield (key,), f"unknown placeholder {{{name}}}{guess}{literal}"
    for key in ("fallback", "give_up", "transfer_failed"):
        for name in names_in(getattr(agent, key)):
            if is_known(name):
                yield (key,), f"{{{name}}} is filled in greeting and instructions only"
    if agent.timezone and agent.timezone not in available_timezones():
        text = f'no time zone "{agent.timezone}"'
        yield ("timezone",), text + did_you_mean(agent.timezone, sorted(available_timezones()))


def destinations(config: GatewayConfig) -> Destinations:
    """Return what `[outgoing]` allows; patterns at fault allow nothing."""
    outgoing = config.outgoing
    allow, deny = (
        [pattern for pattern in patterns if not pattern_fault(pattern)]
        for patterns in (outgoing.allow, outgoing.deny)
    )
    return Destinations(allow, {trunk.name: trunk.server for trunk in config.trunks}, deny)


def not_allowed(target: str, verdict: Verdict) -> str:
    """Return what to do about a target that `[outgoing]` does not allow."""
    if verdict == "denied":
        return "outgoing calls there are denied: see [outgoing] deny"
    return f'outgoing calls there are not allowed: add "{target}" to [outgoing] allow'


def _outgoing_faults(config: GatewayConfig) -> Iterator[Fault]:
    for key, patterns in {"allow": config.outgoing.allow, "deny": config.outgoing.deny}.items():
        for index, pattern in enumerate(patterns):
            if fault := pattern_fault(pattern):
                yield ("outgoing", key, index), fault
    allowed = destinations(config)
    for name, agent in config.agents.items():
        if "transfer_call" not in agent.builtin_tools:
            continue
        for who, target in agent.transfer_targets.items():
            verdict = allowed.verdict(target)
            if is_target(target) and verdict != "allowed":
                yield ("agents", name, "transfer_targets", who), not_allowed(target, verdict)


def cautions(config: GatewayConfig) -> Iterator[Fault]:
    """Yield what is allowed, but may not be what was meant."""
    for index, pattern in enumerate(config.outgoing.allow):
        for trunk in config.trunks:
            if not pattern_fault(pattern) and opens_names_only(pattern, trunk.server):
                yield (
                    ("outgoing", "allow", index),
                    f'opens names at the server of trunk "{trunk.name}", but no numbers there:'
                    ' name those with patterns such as "+49*"',
                )


def _silent_faults(agent: AgentConfig) -> Iterator[Fault]:
    for key in ("fallback", "give_up", "transfer_failed"):
        if not getattr(agent, key).strip():
            yield (key,), "is empty: the caller would hear nothing"
    for index, reprompt in enumerate(agent.silence.reprompts):
        if not reprompt.strip():
            text = "is empty: leave it out (without reprompts only the goodbye is said)"
            yield ("silence", "reprompts", index), text


def _filler_faults(filler: FillerConfig) -> Iterator[Fault]:
    for key, texts in {"first": filler.first, "later": filler.later}.items():
        for index, text in enumerate(texts):
            if not text.strip():
                yield (key, index), "is empty: leave it out"
            elif text in texts[:index]:
                yield (key, index), "is there twice"
    if not filler.after_ms:
        return
    if not filler.first:
        yield ("first",), "must have at least one text; without fillers write after_ms = 0"
    if filler.give_up_s * 1000 <= filler.after_ms:
        yield ("give_up_s",), "must be longer than after_ms, else no filler is ever said"


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    if _DOTTED_NUMBERS.fullmatch(text):
        return _is_ipv4(text)
    return _HOST.fullmatch(text) is not None


def _network_fault(text: str) -> str:
    try:
        ip_network(text, strict=True)
    except ValueError:
        pass
    else:
        return ""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return f'must be a network such as "192.168.0.0/16", not "{text}"'
    return f'has bits beyond its length; did you mean "{network}"?'
