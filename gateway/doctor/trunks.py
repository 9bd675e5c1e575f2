"""Trunks: do they answer, do they know us, do we share a codec."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.config.models import TrunkConfig
from gateway.doctor.deployment import Deployment
from gateway.doctor.finding import Finding, fail, ok, skip, warn
from gateway.doctor.sip_exchange import TIMEOUT_S, SipPeer, bindings, options
from gateway.probe import sdp
from gateway.probe.sip_messages import Credentials, Message, SipSyntaxError
from gateway.sip.parties import called_from_words
from gateway.sip.srv import locate

_SLOW_MS = 300.0
_ACCOUNT = "check the trunk's user, auth_user and password; the provider's web page shows them"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of a request, and how fast."""

    message: Message | None
    """None: nothing came."""
    ms: float = 0.0


async def check_trunks(deployment: Deployment) -> AsyncIterator[Finding]:
    """Ask every trunk ourselves, and the running gateway what it knows of them."""
    trunks = deployment.config.trunks
    if not trunks:
        yield skip("trunks", "none is configured: calls come in by address only")
        return
    known = _known_states(deployment) if deployment.is_running else {}
    for trunk in trunks:
        yield ok(f"called numbers of {trunk.name}", f"by {called_from_words(trunk)}")
        peer = await _peer(trunk)
        if peer is None:
            continue  # said by the check of addresses
        answer = await _timed_options(peer)
        for finding in judge_options(trunk, answer, deployment.config.sip.codecs):
            yield finding
        if trunk.name in known:
            yield judge_state(trunk, known[trunk.name])
        elif not (trunk.user and trunk.register_):
            yield ok(f"registration at {trunk.name}", "none is wanted")
        elif answer.message is not None:
            yield judge_bindings(trunk, await _bindings(peer))


def judge_options(trunk: TrunkConfig, answer: Answer, codecs: Sequence[str]) -> Iterator[Finding]:
    """Decide over the answer to OPTIONS: any answer proves that a server is there."""
    name = f"trunk {trunk.name}"
    if answer.message is None:
        yield fail(
            name,
            f"{trunk.server} does not answer OPTIONS over {trunk.transport.upper()} within"
            f" {TIMEOUT_S:g} s",
            "is it the right host, port and transport? Does a firewall let it out and back?"
            " Some carriers answer only to addresses that they know",
        )
        return
    text = f"{trunk.server} answers after {answer.ms:.0f} ms ({answer.message.status})"
    if answer.ms > _SLOW_MS:
        yield warn(name, text, "a far or busy server: calls will start late; ask for a nearer one")
    else:
        yield ok(name, text)
    yield judge_codecs(trunk, answer.message, codecs)


def judge_codecs(trunk: TrunkConfig, answer: Message, codecs: Sequence[str]) -> Finding:
    """Compare our codecs with those in the answer's SDP, where it has one."""
    name = f"codecs of {trunk.name}"
    try:
        session = sdp.parse(answer.body) if answer.body else None
    except sdp.SdpError:
        session = None
    if session is None:
        return skip(name, "it does not say; a call shows them (gateway doctor --call)")
    names = dict.fromkeys(session.encoding(number) for number in session.payload_types)
    theirs = [name for name in names if name not in {"", "TELEPHONE-EVENT"}]
    common = [codec for codec in codecs if codec in theirs]
    if common:
        return ok(name, f"in common: {', '.join(common)}")
    return fail(
        name,
        f"none in common: it has {', '.join(theirs)}, we have {', '.join(codecs)}",
        "add PCMU or PCMA to sip.codecs, or have the trunk allow one of ours",
    )


def judge_bindings(trunk: TrunkConfig, answer: Message | None) -> Finding:
    """Decide over a REGISTER that asked only for our bindings."""
    name = f"registration at {trunk.name}"
    if answer is None:
        return judge_registration(trunk, 408, "no answer")
    if answer.status // 100 == 2:
        return ok(name, f"the account {trunk.user} and its password are right")
    return judge_registration(trunk, answer.status, answer.reason)


def judge_state(trunk: TrunkConfig, state: dict[str, Any]) -> Finding:
    """Decide over what the running gateway says of a trunk."""
    name = f"registration at {trunk.name}"
    if state.get("state") == "registered":
        return ok(name, f"registered as {trunk.user}")
    if state.get("state") == "static":
        return ok(name, "none is wanted")
    if state.get("state") == "failed":
        return judge_registration(
            trunk, int(state.get("sip_status") or 0), str(state.get("reason") or "")
        )
    return warn(name, f"{state.get('state')}: not (yet) registered", "look again in some seconds")


def judge_registration(trunk: TrunkConfig, status: int, reason: str) -> Finding:
    """Explain why a registrar refuses."""
    said = f"{trunk.server} says {status} {reason}".rstrip()
    cause, fix = _refusal(status)
    return fail(f"registration at {trunk.name}", f"{cause} ({said})", fix)


_REFUSALS = {
    404: ("the account is unknown there", "check the trunk's user; some want a number"),
    405: ("that server accepts no registrations", "set register = false, if calls come by address"),
    408: ("no answer", "check server, port, transport and firewall"),
    423: ("the interval is too short", "raise the trunk's expires_s"),
    501: ("that server accepts no registrations", "set register = false, if calls come by address"),
} | dict.fromkeys((401, 403, 407), ("user or password are refused", _ACCOUNT))


def _refusal(status: int) -> tuple[str, str]:
    if status in _REFUSALS:
        return _REFUSALS[status]
    if 500 <= status < 600:
        return "the server is in trouble", "wait; if it lasts, ask the provider"
    return "the registration is refused", _ACCOUNT


def _known_states(deployment: Deployment) -> dict[str, dict[str, Any]]:
    try:
        reply = deployment.get("/v1/trunks")
    except OSError:
        return {}
    return {str(trunk.get("name")): trunk for trunk in reply.body.get("trunks", [])}


async def _peer(trunk: TrunkConfig) -> SipPeer | None:
    host = trunk.server.partition(":")[0]
    try:
        target = (await locate(trunk.server, trunk.transport)).targets[0]
    except (OSError, ValueError):
        return None
    login = Credentials(trunk.auth_user or trunk.user, trunk.password.get_secret_value())
    return SipPeer(
        host,
        target.port,
        target.host,
        trunk.transport,
        trunk.user,
        login if trunk.user else None,
    )


async def _timed_options(peer: SipPeer) -> Answer:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    message = await options(peer)
    return Answer(message, (loop.time() - started_s) * 1000)


async def _bindings(peer: SipPeer) -> Message | None:
    try:
        return await bindings(peer)
    except SipSyntaxError:  # a challenge that we cannot answer
        return None
