"""Models and libraries: what must be installed, and the command that installs it."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping

from gateway.audio import echo, tones
from gateway.audio.format import ANALYSIS
from gateway.config.models import GatewayConfig
from gateway.doctor.deployment import Deployment, plan_of
from gateway.doctor.finding import Finding, fail, ok, warn
from gateway.errors import ProviderUnavailable
from gateway.installing import pip_install
from gateway.providers import registry

_SIP_LIBRARY = "pjsua2-python"


async def check_models(deployment: Deployment) -> AsyncIterator[Finding]:
    """Look for every model and library that this configuration uses."""
    config = deployment.config
    yield _sip_library()
    async for finding in _voice_detectors(config):
        yield finding
    for kind, provider in _engines(config):
        module = registry.load(kind, provider)
        optional: Mapping[str, str] = getattr(module, "optional_parts", dict)()
        for name, hint in optional.items():
            yield judge_missing(name, hint, is_needed=False)
        yield judge_missing(f"{kind} {provider}", module.probe(), is_needed=True)
    if config.media.echo_cancel:
        yield judge_missing("echo canceller (speexdsp)", echo.probe(), is_needed=False)
    yield judge_missing("keys as tones (spandsp)", tones.probe(), is_needed=False)
    if plan_of(config).runs_edge:
        missing = "" if shutil.which("kamailio", path=_SYSTEM_PATH) else _KAMAILIO
        yield judge_missing("kamailio", missing, is_needed=True)


_SYSTEM_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
_KAMAILIO = (
    "kamailio is not installed: apt-get install --no-install-recommends kamailio"
    " kamailio-tls-modules"
)


def judge_missing(name: str, hint: str, *, is_needed: bool) -> Finding:
    """Decide over what may be missing.

    Args:
        name: what it is.
        hint: what is wrong and, behind the last colon, how to install it; empty = it is there.
        is_needed: calls fail without it.
    """
    if not hint:
        return ok(name, "installed")
    cause, _, command = hint.rpartition(": ")
    fix = command if " install " in command else "gateway providers"
    return (fail if is_needed else warn)(name, cause or hint, fix)


def _engines(config: GatewayConfig) -> Iterator[tuple[registry.Kind, str]]:
    kinds: tuple[registry.Kind, ...] = ("stt", "tts", "s2s")  # language models install nothing
    for kind in kinds:
        tables = [getattr(agent, kind) for agent in config.agents.values()]
        used = (table for table in tables if table is not None)
        named = (leaf.provider for table in used for leaf in table.leaves())
        for provider in dict.fromkeys(named):
            yield kind, provider


def _sip_library() -> Finding:
    name = "SIP library (pjsua2)"
    try:
        from gateway.sip import pj  # noqa: PLC0415 - a broken one must not hinder the others

        pj.Endpoint.__name__  # noqa: B018
    except ImportError as error:
        return fail(name, f"it cannot be loaded: {error}", pip_install(_SIP_LIBRARY))
    return ok(name, f"{_SIP_LIBRARY} {importlib.metadata.version(_SIP_LIBRARY)}")


async def _voice_detectors(config: GatewayConfig) -> AsyncIterator[Finding]:
    tables = {agent.vad.provider: agent.vad for agent in config.agents.values()}
    for provider, table in tables.items():
        name = f"voice detector ({provider})"
        try:
            detection = registry.create("vad", table)
            await detection.warm_up()
        except ProviderUnavailable as error:
            yield judge_missing(name, error.problem, is_needed=True)
            continue
        chunk, *_ = detection.open().push(bytes(2 * ANALYSIS.frame_bytes))
        await detection.close()
        yield ok(name, f"loads and runs (speech probability of silence: {chunk.probability:.0%})")
