"""Models and libraries: what must be installed, and the command that installs it."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import AsyncIterator, Iterator

import numpy as np

from gateway.audio import echo
from gateway.config.models import GatewayConfig
from gateway.doctor.deployment import Deployment
from gateway.doctor.finding import Finding, fail, ok, warn
from gateway.doctor.plan import plan_of
from gateway.errors import ProviderUnavailable
from gateway.providers import registry
from gateway.providers.vad import silero
from gateway.recognizer import smart_turn

_SIP_LIBRARY = "pjsua2-python"


async def check_models(deployment: Deployment) -> AsyncIterator[Finding]:
    """Look for every model and library that this configuration uses."""
    config = deployment.config
    yield _sip_library()
    yield _silero()
    if any(agent.stt.get("provider") == "moonshine" for agent in config.agents.values()):
        yield judge_missing("end of turn by sound (smart-turn)", _smart_turn(), is_needed=False)
    for kind, provider in _engines(config):
        hint = registry.load(kind, provider).probe()
        yield judge_missing(f"{kind} {provider}", hint, is_needed=True)
    if config.media.echo_cancel:
        yield judge_missing("echo canceller (speexdsp)", echo.probe(), is_needed=False)
    if plan_of(config).runs_edge:
        missing = "" if shutil.which("kamailio", path=_SYSTEM_PATH) else _KAMAILIO
        yield judge_missing("kamailio", missing, is_needed=True)


_SYSTEM_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
_KAMAILIO = (
    "kamailio is not installed: apt-get install kamailio kamailio-outbound-modules"
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
    kinds: tuple[registry.Kind, ...] = ("stt", "tts")  # language models install nothing
    for kind in kinds:
        tables = [getattr(agent, kind) for agent in config.agents.values()]
        for provider in dict.fromkeys(str(table.get("provider")) for table in tables):
            yield kind, provider


def _sip_library() -> Finding:
    name = "SIP library (pjsua2)"
    try:
        from gateway.sip import pj  # noqa: PLC0415 - a broken one must not hinder the others

        pj.Endpoint.__name__  # noqa: B018
    except ImportError as error:
        return fail(name, f"it cannot be loaded: {error}", f"pip install {_SIP_LIBRARY}")
    return ok(name, f"{_SIP_LIBRARY} {importlib.metadata.version(_SIP_LIBRARY)}")


def _silero() -> Finding:
    name = "voice detector (silero)"
    try:
        silence = np.zeros(288, np.float32)
        probability, _ = silero.SileroModel().run(silence, np.zeros((2, 1, 128), np.float32))
    except ProviderUnavailable as error:
        return judge_missing(name, error.problem, is_needed=True)
    return ok(name, f"loads and runs (silence is speech with {probability:.0%})")


def _smart_turn() -> str:
    try:
        smart_turn.model_file()
    except ProviderUnavailable as error:
        return error.problem
    return ""
