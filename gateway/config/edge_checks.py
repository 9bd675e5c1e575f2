"""Rules about `[edge]` and what goes through it.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.edge_hosts import read_host
from gateway.config.locate import KeyPath
from gateway.config.models import GatewayConfig

Fault = tuple[KeyPath, str]
_NO_KEY = (
    "needs edge.key, the same secret on every host (openssl rand -hex 32): edge and workers "
    "know each other by it"
)


def edge_faults(config: GatewayConfig) -> Iterator[Fault]:
    """Yield every broken rule with the key it is about."""
    for index, trunk in enumerate(config.trunks):
        if trunk.transport == "tls" and config.workers.edge == "none":
            yield ("trunks", index, "transport"), 'tls needs an edge: set workers.edge = "kamailio"'
        if trunk.outbound_proxy and config.workers.edge != "none":
            yield ("trunks", index, "outbound_proxy"), "goes without an edge only"
    if config.workers.edge == "none":
        if {"hosts", "join"} & config.edge.model_fields_set and (
            config.edge.hosts or config.edge.join
        ):
            yield ("workers", "edge"), 'set workers.edge = "kamailio": [edge] names other hosts'
        return
    yield from _host_faults(config)
    yield from _tls_faults(config)
    yield from _text_faults(config)
    if not config.edge.run and config.edge.directory is None and not config.edge.join:
        yield ("edge", "directory"), "with run = false, say where your Kamailio's files shall be"
    if "udp" not in config.sip.transports:
        yield ("sip", "transports"), 'edge and workers talk over "udp"'


def _host_faults(config: GatewayConfig) -> Iterator[Fault]:
    edge = config.edge
    if edge.join and edge.hosts:
        yield ("edge", "hosts"), "this host joins another one's edge: name the hosts there"
    if (edge.join or edge.hosts) and not edge.key.get_secret_value():
        yield ("edge", "join" if edge.join else "hosts"), _NO_KEY
    for index, entry in enumerate((*edge.hosts, *((edge.join,) if edge.join else ()))):
        try:
            read_host(entry, config.sip.port, 1)
        except ValueError as error:
            is_join = index == len(edge.hosts)
            yield ("edge", "join") if is_join else ("edge", "hosts", index), str(error)


def _tls_faults(config: GatewayConfig) -> Iterator[Fault]:
    edge = config.edge
    if bool(edge.tls_certificate) != bool(edge.tls_key):
        key = "tls_key" if edge.tls_certificate else "tls_certificate"
        yield ("edge", key), "is missing: certificate and key go together"
    for key in ("tls_certificate", "tls_key"):
        path = getattr(edge, key)
        if path and not path.is_file():
            yield ("edge", key), f"no such file: {path}"
    if edge.tls_certificate and edge.tls_port == config.sip.port:
        yield ("edge", "tls_port"), "is the same as sip.port"


def _text_faults(config: GatewayConfig) -> Iterator[Fault]:
    """Find what would break the syntax of Kamailio's files."""
    if any(mark in config.sip.realm for mark in '"\\\n'):
        yield ("sip", "realm"), "must not hold quotes or backslashes"
