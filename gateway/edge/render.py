"""gateway.toml -> the files that Kamailio reads.  Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config.models import GatewayConfig, TrunkConfig
from gateway.edge.targets import Target, workers_list
from gateway.sip.edge_peer import local_signalling_address, word_key
from gateway.sip.names import is_address
from gateway.sip.untrusted import DIALOG_REQUESTS_PER_S

_ESCAPES = str.maketrans({"\\": "\\\\", ":": "\\:", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def db_table(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """Write a table.

    Args:
        columns: such as `key_name(string)`.
        rows: one value per column.
    """
    lines = [" ".join(columns)]
    lines += [":".join(str(value).translate(_ESCAPES) for value in row) for row in rows]
    return "\n".join(lines) + "\n"


MAIN, SETTINGS, TLS = "kamailio.cfg", "settings.cfg", "tls.cfg"
WORKERS, SOURCES = "workers.list", "sources.list"
USERS, TRUNKS, SERVERS, ACCOUNTS = "db/users", "db/trunks", "db/servers", "db/uacreg"
CONTROL = "control.sock"
RESTART_FOR = (MAIN, SETTINGS, TLS)
"""A change of the others is taken over by the running Kamailio."""
_ANYWHERE = "0.0.0.0"  # noqa: S104 (the operator's choice, compared here only)
_FRIENDS, _TRUNKS, _EVERYBODY = 1, 2, 3
"""Groups in `sources.list`."""
_RETRY_S = 15
"""Kamailio tries failed registrations again at a fixed pace."""
_SCANNERS = (
    "friendly-scanner", "sipvicious", "sipsak", "sipcli", "sip-scan", "sundayddr", "pplsip",
    "vaxsip", "iwar", "siparmyknife", "smap",
)  # fmt: skip
"""Parts of User-Agent that no telephone sends."""


Servers = Mapping[str, Sequence[tuple[str, int]]]
"""Trunk -> IP address and port of each of its servers, in the order to try them."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the configuration does not say."""

    folder: Path
    """Where the files will be."""
    own_addresses: Sequence[str]
    """IPv4 addresses of this machine."""
    trunk_addresses: Mapping[str, Sequence[str]]
    """Trunk -> addresses that its calls come from."""
    trunk_servers: Servers
    mask_key: str
    """Hides the workers' addresses; the same key reads what it has hidden."""
    template: str
    """Text of `kamailio.cfg`."""


def render(config: GatewayConfig, targets: Sequence[Target], around: HostFacts) -> dict[str, str]:
    """Write every file: name below the folder -> text.  They hold secrets."""
    files = {
        MAIN: around.template,
        SETTINGS: "".join(f"{line}\n" for line in _settings(config, around)),
        WORKERS: workers_list(targets),
        SOURCES: sources_list(config, around.trunk_addresses),
        USERS: _users(config),
        TRUNKS: trunks_table(config, around.trunk_addresses),
        SERVERS: servers_table(config, around.trunk_servers),
        ACCOUNTS: _accounts(config, around),
        "db/version": _versions(),
    }
    if config.edge.tls_certificate or _dials_tls(config):
        files[TLS] = _tls(config)
    return files


def sources_list(config: GatewayConfig, trunk_addresses: Mapping[str, Sequence[str]]) -> str:
    """Write `sources.list`: the addresses that may call without a password."""
    sip = config.sip
    networks = list(sip.allow_sources)
    if not networks and ipaddress.ip_address(sip.bind).is_loopback and not sip.users:
        networks = ["127.0.0.0/8"]
    lines = []
    for text in networks:
        network = ipaddress.ip_network(text, strict=False)
        if network.prefixlen:
            lines.append(f"{_FRIENDS} {network.network_address} {network.prefixlen}")
        else:  # Kamailio reads a mask of no bits as no address
            lines += [f"{_EVERYBODY} 0.0.0.0 1", f"{_EVERYBODY} 128.0.0.0 1"]
    first: dict[str, str] = {}  # of several trunks at one address the first one is meant, as ever
    for trunk in config.trunks:
        for address in trunk_addresses.get(trunk.name, ()):
            first.setdefault(address, trunk.name)
    lines += [f"{_TRUNKS} {address} 32 0 {name}" for address, name in first.items()]
    return "".join(f"{line}\n" for line in lines)


def registering(config: GatewayConfig) -> list[TrunkConfig]:
    """List the trunks that are to be registered with."""
    return [trunk for trunk in config.trunks if trunk.user and trunk.register_]


def contact_address(config: GatewayConfig, own_addresses: Sequence[str]) -> str:
    """Return where trunks reach the edge: `host:port`."""
    sip = config.sip
    return f"{sip.public_address or _own(sip.bind, own_addresses)}:{sip.port}"


def _own(bind: str, own_addresses: Sequence[str]) -> str:
    return bind if bind != _ANYWHERE else next(iter(own_addresses), "127.0.0.1")


def _settings(config: GatewayConfig, around: HostFacts) -> Iterator[str]:
    sip, edge = config.sip, config.edge
    yield "# Rendered from gateway.toml: changes made here are lost."
    if sip.users:
        yield "#!define WITH_USERS"
    if edge.queue_s:
        yield "#!define WITH_QUEUE"
    if edge.tls_certificate or _dials_tls(config):
        yield "#!define WITH_TLS"
    texts = {
        "EDGE_DIR": around.folder,
        "MASK_KEY": around.mask_key,
        "WORD_KEY": word_key(config, around.mask_key),
        "NONCE_SECRET": _derived(around.mask_key, "nonce"),
        "UNKNOWN_USERS_HA1": _derived(around.mask_key, "nobody")[:32],
        "CONTACT": contact_address(config, around.own_addresses),
        "SCANNERS": "|".join(_SCANNERS),
        "BAN_S": edge.ban_s,
        "QUEUE_KEPT_S": edge.queue_s + 60,
        "RETRY_AFTER": sip.retry_after_s,
    }
    yield from (f'#!substdef "!{name}!{value}!g"' for name, value in texts.items())
    numbers = {
        "PROBE_S": edge.probe_s,
        "MAX_CALL_S": round(sip.max_call_s) + 60,
        "FIRST_ANSWER_MS": edge.first_answer_ms,
        "ANSWER_MS": round(sip.ring_timeout_s * 1000) + 5000,
        "CALLS_PER_S": edge.calls_per_s,
        "UNTRUSTED_REQUESTS_PER_2S": 2 * edge.untrusted_requests_per_s,
        "DIALOG_REQUESTS_PER_S": DIALOG_REQUESTS_PER_S,
        "ALL_UNTRUSTED_PER_S": edge.all_untrusted_requests_per_s,
        "QUEUE_S": edge.queue_s,
        "QUEUE_LENGTH": edge.queue_length,
        "RETRY_S": _RETRY_S,
    }
    yield from (f"#!define {name} {value}" for name, value in numbers.items())
    yield f'#!define REALM "{sip.realm}"'
    yield f"children={edge.processes}"
    # Handshakes in two processes at once have corrupted the memory that OpenSSL 3 shares there.
    has_tls = edge.tls_certificate or _dials_tls(config)
    yield f"tcp_children={1 if has_tls else edge.processes}"
    yield from _listen(config, around.own_addresses)


def _listen(config: GatewayConfig, own_addresses: Sequence[str]) -> Iterator[str]:
    """Public sockets, and one on the loopback where the workers of this host are."""
    sip, edge = config.sip, config.edge
    inside = local_signalling_address(sip.bind)
    outside = list(own_addresses) if sip.bind == _ANYWHERE else [sip.bind]
    outside = [address for address in outside if address != inside]
    if sip.bind == inside:
        outside, inside = [inside], ""
    kinds = [("udp", sip.port)]
    if "tcp" in sip.transports or edge.tls_certificate or _dials_tls(config):
        kinds.append(("tcp", sip.port))
    else:
        yield "disable_tcp=yes"
    if edge.tls_certificate or _dials_tls(config):
        kinds.append(("tls", edge.tls_port))
    for address in outside:
        for kind, port in kinds:
            public = f" advertise {sip.public_address}:{port}" if sip.public_address else ""
            yield f"listen={kind}:{address}:{port}{public}"
    if inside:
        yield f"listen=udp:{inside}:{sip.port}"


def _derived(key: str, purpose: str) -> str:
    return hashlib.sha256(f"{key} {purpose}".encode()).hexdigest()


def _dials_tls(config: GatewayConfig) -> bool:
    return any(trunk.transport == "tls" for trunk in config.trunks)


def _tls(config: GatewayConfig) -> str:
    edge = config.edge
    lines = ["[server:default]", "method = TLSv1.2+", "verify_certificate = no"]
    if edge.tls_certificate:
        lines += [f"certificate = {edge.tls_certificate}", f"private_key = {edge.tls_key}"]
    else:  # else it would not start without its own cert.pem; now it refuses connections by TLS
        lines += ['certificate = ""', 'private_key = ""']
    if _dials_tls(config):
        # A list of all authorities is loaded into each process; of a folder, what is needed.
        kind = "ca_list" if edge.tls_ca.suffix else "ca_path"
        lines += ["", "[client:default]", "method = TLSv1.2+", "verify_certificate = yes"]
        lines += ["require_certificate = yes", f"{kind} = {edge.tls_ca}"]
    return "\n".join(lines) + "\n"


def trunks_table(config: GatewayConfig, trunk_addresses: Mapping[str, Sequence[str]]) -> str:
    """Write which trunk's server is at which address: `NAME@ADDRESS`."""
    return _hash_table(
        {
            f"{trunk.name}@{address}": trunk.name
            for trunk in config.trunks
            for address in trunk_addresses.get(trunk.name, ())
        }
    )


def servers_table(config: GatewayConfig, servers: Servers) -> str:
    """Write where a trunk's name leads: `HOST:PORT/TRANSPORT` as URIs have it -> `N|SERVER|...`.

    Kamailio would look the name up by itself, and try the first server alone.
    """
    table = {}
    for trunk in config.trunks:
        host, _, port = trunk.server.lower().partition(":")
        transport = "" if trunk.transport == "udp" else trunk.transport
        found = [
            f"{address}:{number};transport={trunk.transport}"
            for address, number in servers.get(trunk.name, ())
        ]
        if found and not is_address(host):
            table[f"{host}:{port}/{transport}"] = "|".join([str(len(found)), *found])
    return _hash_table(table)


def _users(config: GatewayConfig) -> str:
    """Write digest users; what is kept is H(A1) of RFC 7616 section 3.4.2, not the password."""
    users = {}
    for name, secret in config.sip.users.items():
        text = f"{name}:{config.sip.realm}:{secret.get_secret_value()}"
        users[name] = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return _hash_table(users)


def _hash_table(values: Mapping[str, str]) -> str:
    columns = (
        "id(int,auto)", "key_name(string)", "key_type(int)", "value_type(int)",
        "key_value(string)", "expires(int)",
    )  # fmt: skip
    rows = [(number, key, 0, 0, value, 0) for number, (key, value) in enumerate(values.items(), 1)]
    return db_table(columns, rows)


def _accounts(config: GatewayConfig, around: HostFacts) -> str:
    """Write the registrations; the name of a trunk is the user of its Contact."""
    text = ("l_uuid", "l_username", "l_domain", "r_username", "r_domain", "realm",
            "auth_username", "auth_password", "auth_ha1", "auth_proxy")  # fmt: skip
    columns = ["id(int,auto)", *(f"{name}(string,null)" for name in text)]
    columns += ["expires(int)", "flags(int)", "reg_delay(int)"]
    columns += ["contact_addr(string,null)", "socket(string,null)"]
    host = contact_address(config, around.own_addresses).partition(":")[0]
    rows = []
    for number, trunk in enumerate(registering(config), 1):
        suffix = "" if trunk.transport == "udp" else f";transport={trunk.transport}"
        contact = ""  # as everywhere: CONTACT
        if trunk.transport == "tls" and config.edge.tls_certificate:  # we can be called so, too
            contact = f"{host}:{config.edge.tls_port}{suffix}"
        rows.append(
            (
                number, trunk.name, trunk.user, host, trunk.user, trunk.server, trunk.realm,
                trunk.auth_user or trunk.user, trunk.password.get_secret_value(), "",
                f"sip:{trunk.server}{suffix}", trunk.expires_s, 0, 0, contact, "",
            )
        )  # fmt: skip
    return db_table(columns, rows)


def _versions() -> str:
    """Write the versions of the tables that the modules of Kamailio 5.6 look for."""
    columns = ("id(int,auto)", "table_name(string)", "table_version(int)")
    return db_table(columns, [(1, "version", 1), (2, "uacreg", 5), (3, "htable", 2)])
