"""Exposure: which hosts reach the API and the SIP port, which users can read the secrets."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network
from pathlib import Path

from gateway.config.checks import is_loopback
from gateway.config.models import GatewayConfig
from gateway.config.secrets import secrets_of
from gateway.doctor.addresses import ANY
from gateway.doctor.deployment import Deployment, http_get
from gateway.doctor.finding import Finding, counted, fail, ok, warn
from gateway.doctor.network import local_addresses

_SHORT_KEY = 20
_WIDE_PREFIX = 8


@dataclass(frozen=True, slots=True)
class ExposureFacts:
    """Facts about the hosts that can reach this gateway."""

    config: GatewayConfig
    unkeyed_status: int | None = None
    """What a request without a key got at an address of the network; None: not tried."""
    config_path: Path | None = None
    config_mode: int = 0o600
    config_text: str = ""
    is_root: bool = False


async def check_exposure(deployment: Deployment) -> AsyncIterator[Finding]:
    """Look at the API, the permitted callers, and the configuration file."""
    path = deployment.config_path
    facts = ExposureFacts(
        deployment.config,
        unkeyed_status=_ask_without_key(deployment),
        config_path=path,
        config_mode=stat.S_IMODE(path.stat().st_mode) if path else 0o600,
        config_text=path.read_text(encoding="utf-8", errors="replace") if path else "",
        is_root=os.geteuid() == 0,
    )
    for finding in judge_exposure(facts):
        yield finding


def judge_exposure(facts: ExposureFacts) -> Iterator[Finding]:
    """Decide over everything that an untrusted source could try."""
    yield from _judge_api(facts)
    yield _judge_callers(facts.config)
    if (path := facts.config_path) is not None:
        yield _judge_file(facts, path)
    if facts.is_root:
        yield warn(
            "user",
            "this runs as root: files and ports are judged with rights that the gateway may lack",
            "run both as the gateway's own user, as deploy/systemd does; root is never needed",
        )


def _judge_api(facts: ExposureFacts) -> Iterator[Finding]:
    http = facts.config.http
    if is_loopback(http.bind):
        yield ok("HTTP API", f"{http.bind}:{http.port}, this machine only")
        return
    keys = [key.get_secret_value() for key in (*http.api_keys, *http.read_keys, *http.metrics_keys)]
    if not keys:
        yield fail(
            "HTTP API",
            f"{http.bind}:{http.port} can be reached from other machines, and there is no key",
            'set http.api_keys = ["${GATEWAY_API_KEY}"], or http.bind = "127.0.0.1"',
        )
    elif facts.unkeyed_status is not None and facts.unkeyed_status not in {401, 403}:
        yield fail(
            "HTTP API",
            f"a request without a key was answered with {facts.unkeyed_status}",
            "restart the gateway: it does not run with this configuration",
        )
    else:
        yield warn(
            "HTTP API",
            f"{http.bind}:{http.port} asks for a key, but sends it and all answers in the clear",
            "put a TLS proxy in front of it, or keep it inside a private network",
        )
    if any(len(key) < _SHORT_KEY for key in keys):
        fix = "make one: gateway key new"
        yield warn("API keys", f"one has fewer than {_SHORT_KEY} characters", fix)


def _judge_callers(config: GatewayConfig) -> Finding:
    sip = config.sip
    if is_loopback(sip.bind):
        return ok("permitted callers", "programs on this machine")
    networks = [ip_network(text, strict=False) for text in sip.allow_sources]
    wide = [str(net) for net in networks if net.prefixlen < _WIDE_PREFIX]
    if wide:
        return warn(
            "permitted callers",
            f"sip.allow_sources has {', '.join(wide)}: anyone on the Internet can occupy all slots",
            "name the networks of your trunks and phones only; trunk servers are allowed anyway",
        )
    weak = [n for n, p in sip.users.items() if len(p.get_secret_value()) < _SHORT_KEY // 2]
    if weak:
        return warn(
            "permitted callers",
            f"short digest passwords: {', '.join(weak)}; scanners try millions",
            "make others: openssl rand -base64 18",
        )
    parts = [counted(len(networks), "network")] if networks else []
    parts += [counted(len(sip.users), "digest user")] if sip.users else []
    parts += [counted(len(config.trunks), "trunk")] if config.trunks else []
    return ok("permitted callers", ", ".join(parts))


def _judge_file(facts: ExposureFacts, path: Path) -> Finding:
    written = [s for s in secrets_of(facts.config) if s and f'"{s}"' in facts.config_text]
    if written and facts.config_mode & 0o044:
        return warn(
            "configuration file",
            f"{path} holds secrets and can be read by others (mode {facts.config_mode:o})",
            f'chmod 600 {path}, or take them from the environment: password = "${{NAME}}"',
        )
    return ok("configuration file", f"{path}: no secrets for others to read")


def _ask_without_key(deployment: Deployment) -> int | None:
    """Ask for the calls without a key, at an address that others would use."""
    http = deployment.config.http
    if not deployment.is_running or is_loopback(http.bind):
        return None
    outer = sorted(a for a in local_addresses() if not IPv4Address(a).is_loopback)
    host = http.bind if http.bind != ANY else next(iter(outer), "")
    if not host:
        return None
    try:
        return http_get(http, "/v1/calls", with_key=False, host=host).status
    except OSError:
        return None
