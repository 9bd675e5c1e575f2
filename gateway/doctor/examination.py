"""All checks in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from gateway.api_keys import KEY_ENV
from gateway.config.secrets import secrets_of
from gateway.doctor.addresses import check_addresses
from gateway.doctor.deployment import Deployment, api_key
from gateway.doctor.engines import check_engines
from gateway.doctor.exposure import check_exposure
from gateway.doctor.finding import Finding, counted, fail, ok, skip, warn, without_secrets
from gateway.doctor.machine import check_machine
from gateway.doctor.models import check_models
from gateway.doctor.ports import check_ports
from gateway.doctor.self_call import check_call
from gateway.doctor.storage import check_shared_state, check_storage
from gateway.doctor.trunks import check_trunks
from gateway.errors import GatewayError

Check = Callable[[Deployment], AsyncIterator[Finding]]


async def check_running(deployment: Deployment) -> AsyncIterator[Finding]:
    """Return whether a gateway runs, and whether it takes calls."""
    config, http = deployment.config, deployment.config.http
    source = deployment.config_path or "built in (no gateway.toml here)"
    agents = f"{counted(len(config.agents), 'agent')}, {counted(len(config.trunks), 'trunk')}"
    yield ok("configuration", f"{source}: {agents}")
    where = f"http://{http.bind}:{http.port}"
    if not deployment.is_running:
        yield skip("gateway", f"none answers at {where}: what only it knows is left out")
        return
    reply = deployment.get("/readyz")
    slots = f"{reply.body.get('slots_used')} of {reply.body.get('slots')} slots used"
    if reply.status in {401, 403, 429}:
        yield fail(
            "gateway",
            f"{where} refuses our API key",
            f"set {KEY_ENV} to a key that it knows; or is it another configuration (--config)?",
        )
    elif reply.status == 200:
        yield ok("gateway", f"{where} is ready, {slots}")
    else:
        yield warn(
            "gateway",
            f"{where} accepts no calls: {reply.body.get('reason') or reply.status}",
            "look into its log",
        )


CHECKS: dict[str, Check] = {
    "gateway": check_running,
    "machine": check_machine,
    "models": check_models,
    "storage": check_storage,
    "shared state": check_shared_state,
    "ports": check_ports,
    "addresses": check_addresses,
    "exposure": check_exposure,
    "trunks": check_trunks,
    "engines": check_engines,
    "call": check_call,
}
"""The cheap ones first; the call comes last, when everything it needs has been looked at."""


async def examine(deployment: Deployment) -> AsyncIterator[Finding]:
    """Run every check, one after the other, and yield its findings without secrets.

    A check that cannot be carried out is a finding itself; the others go on.
    """
    own = api_key(deployment.config.http)
    secrets = (*secrets_of(deployment.config), *([own] if own else []))
    for name, check in CHECKS.items():
        try:
            async with aclosing(check(deployment)) as findings:  # type: ignore[type-var]
                async for finding in findings:
                    yield without_secrets(finding, secrets)
        except (OSError, GatewayError, ValueError) as error:
            text = f"could not be looked at: {type(error).__name__}: {error}"
            yield without_secrets(warn(name, text, "look at it by hand"), secrets)
