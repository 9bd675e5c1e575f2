"""A call to itself: an outside SIP caller says one sentence, and every leg is timed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.child_processes import end_child
from gateway.config.models import GatewayConfig
from gateway.doctor.deployment import ANY_ADDRESS, Deployment, plan_of
from gateway.doctor.finding import Finding, fail, ok, skip, warn
from gateway.doctor.network import address_towards, resolve
from gateway.probe.sip_messages import SipSyntaxError, address_of

LIMIT_S = 75.0
_RECORD_S, _POLL_S, _STOP_S = 6.0, 0.25, 10.0
_PASSWORD = "GATEWAY_DOCTOR_PASSWORD"  # noqa: S105 - the variable's name
_SCENARIO = """\
[[steps]]
do = "wait_for_bot"
timeout_s = 15
[[steps]]
do = "say"
text = "When are you open on Saturday?"
[[steps]]
do = "wait_for_bot"
timeout_s = 20
[[steps]]
do = "hang_up"
"""
_SETUP_MS, _GREETING_MS, _GAP_MS = 500.0, 1500.0, 1500.0
_FRAME_GAP_MS = 30.0
_LEGS = {
    "endpointing_ms": "deciding that you are done",
    "stt_final_ms": "recognizing",
    "llm_first_token_ms": "the language model's first token",
    "llm_first_sentence_ms": "its first sentence",
    "tts_first_audio_ms": "the voice's first audio",
    "engine_first_audio_ms": "the speech-to-speech engine's first audio",
    "playout_start_ms": "handing it to RTP",
}
_FIXES = {
    "endpointing_ms": 'set turn.eagerness = "high" for that agent, if callers may be interrupted',
    "stt_final_ms": "recognition is short of CPU: fewer calls per core, or a faster recognizer",
    "llm_first_token_ms": "use a faster or nearer language model, or keep it loaded",
    "llm_first_sentence_ms": "have its instructions ask for short sentences",
    "tts_first_audio_ms": "use a faster voice",
    "engine_first_audio_ms": "lower the silence after which the engine ends turns, or"
    " choose a nearer or smaller model",
    "playout_start_ms": "this machine is overloaded: look at its load",
}


@dataclass(frozen=True, slots=True)
class Target:
    """The called address, our own, and the caller's name."""

    uri: str
    bind: str
    user: str
    password: str = ""
    is_direct: bool = True
    """Straight to the gateway's own port, not through a trunk."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """What the caller measured, and what the gateway wrote down."""

    target: Target
    report: Mapping[str, Any]
    """As `gateway.probe` writes it; empty when it could not even begin."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """As `GET /v1/calls/{id}` gives it; empty when it was not found."""
    problem: str = ""


async def check_call(deployment: Deployment) -> AsyncIterator[Finding]:
    """Call, unless no agent can answer or the call is not wanted."""
    name = "test call"
    if not deployment.may_call:
        yield skip(name, "not made (--no-call or --quick)")
        return
    if not deployment.is_running:
        yield skip(name, "no gateway runs here", "start it (gateway run), then run this again")
        return
    target = await _target(deployment)
    if target is None:
        to = deployment.call_to
        yield fail(name, f"{to} is no SIP URI that can be reached", "--call sip:NUMBER@HOST")
        return
    for finding in judge_call(await _call(deployment, target)):
        yield finding


def judge_call(result: CallResult) -> Iterator[Finding]:
    """Decide over one call, leg by leg."""
    status = int(result.report.get("status") or 0)
    if status // 100 != 2:
        yield _refused(result, status)
        return
    yield _timed(
        "call set-up",
        "INVITE to 200",
        result.report.get("invite_to_200_ms"),
        _SETUP_MS,
        "look at the load of this machine"
        if result.target.is_direct
        else "ask the trunk's provider",
    )
    yield _sound(result)
    if result.report.get("ack_to_first_bot_ms") is None:
        return
    yield _rhythm(result.report.get("rtp") or {})
    yield _answer(result)


def _refused(result: CallResult, status: int) -> Finding:
    name = "test call"
    said = "; ".join(result.report.get("problems") or []) or result.problem or "no answer"
    cause = f"{result.target.uri} did not accept the call: {said}"
    if status in {401, 403} and result.target.is_direct:
        return skip(
            name,
            f"the gateway does not admit callers from {result.target.bind} ({said})",
            'add "127.0.0.0/8" to sip.allow_sources, or call through a trunk: --call sip:...',
        )
    fixes = {
        401: "the trunk wants other credentials for calls",
        403: "the trunk refuses this caller: is the account allowed to call that number?",
        404: "no dialplan rule matches that number: gateway route-test --to NUMBER --from doctor",
        486: "all slots are taken: try again later, or raise workers.count",
        488: "no common codec: compare sip.codecs with what the trunk allows",
        503: "all slots are taken, or the gateway is draining: try again later",
    }
    fix = fixes.get(status, "look into the gateway's log; does a firewall drop SIP?")
    return fail(name, cause, fix)


def _sound(result: CallResult) -> Finding:
    media = result.report.get("media") or {}
    where = f"{media.get('address')}:{media.get('port')}, {media.get('codec')}"
    first_ms = result.report.get("ack_to_first_bot_ms")
    if first_ms is not None:
        what = f"SDP offers {where}; ACK to first sound"
        fix = "does it come from a language model? Set the agent's greeting"
        return _timed("greeting", what, first_ms, _GREETING_MS, fix)
    if (result.report.get("rtp") or {}).get("received"):
        return fail(
            "greeting",
            "only silence came back",
            "is greeting empty, and the language model slow or failing? See the engines above",
        )
    return fail(
        "greeting",
        f"no audio came back (SDP offers {where})",
        "does a firewall drop UDP in sip.rtp_ports? Is the address in SDP the right one?",
    )


def _rhythm(rtp: Mapping[str, Any]) -> Finding:
    gap_ms = float((rtp.get("frame_gap_ms") or {}).get("p99") or 0.0)
    lost = int(rtp.get("lost") or 0)
    text = f"frame gap p99 {gap_ms:.1f} ms, {lost} of {rtp.get('received')} packets lost"
    if gap_ms > _FRAME_GAP_MS or lost:
        fix = "the machine or the network between is overloaded; see timers and cores above"
        return warn("audio from the bot", text, fix)
    return ok("audio from the bot", text)


def _answer(result: CallResult) -> Finding:
    name = "answer"
    turns = result.report.get("turns") or []
    gap_ms = turns[0].get("response_gap_ms") if turns else None
    heard = [turn for turn in result.record.get("turns", []) if turn.get("caller_text")]
    if gap_ms is None:
        understood = f'it understood "{heard[0]["caller_text"]}"' if heard else "it heard no words"
        return fail(
            name,
            f"the bot did not answer what was said: {understood}",
            "no words: can RTP reach the address in SDP? Words: look at the language model above",
        )
    legs = leg_times(heard[0]) if heard else ""
    text = f"{gap_ms:.0f} ms after the caller's last word{legs}"
    if gap_ms <= _GAP_MS:
        return ok(name, text)
    slowest = str(heard[0].get("slowest_stage") or "") if heard else ""
    return warn(name, text, _FIXES.get(slowest, "see the engines above"))


def leg_times(turn: Mapping[str, Any]) -> str:
    """Write the stage times of one turn."""
    parts = [
        f"{title} {float(turn[key]):.0f}"
        for key, title in _LEGS.items()
        if turn.get(key) is not None
    ]
    return f"; in ms: {', '.join(parts)}" if parts else ""


def _timed(name: str, what: str, ms: float | None, limit_ms: float, fix: str) -> Finding:
    text = f"{what} {ms or 0.0:.0f} ms"
    return ok(name, text) if (ms or 0.0) <= limit_ms else warn(name, f"{text}: late", fix)


async def _target(deployment: Deployment) -> Target | None:
    config = deployment.config
    if deployment.call_to:
        return await _outside_target(config, deployment.call_to)
    if edge := plan_of(config).joins:  # only the edge may call our workers
        return await _outside_target(config, f"sip:doctor@{edge}")
    host = ANY_ADDRESS.get(config.sip.bind, config.sip.bind)
    user = f"doctor-{os.getpid()}"
    if config.sip.users:
        user, password = next(iter(config.sip.users.items()))
        return Target(
            f"sip:doctor@{host}:{config.sip.port}", host, user, password.get_secret_value()
        )
    return Target(f"sip:doctor@{host}:{config.sip.port}", host, user)


async def _outside_target(config: GatewayConfig, uri: str) -> Target | None:
    """Call a URI; as the trunk's account when it lies at a trunk."""
    try:
        host, port = address_of(uri)
    except SipSyntaxError:
        return None
    addresses = await resolve(host)
    bind = address_towards(addresses[0]) if addresses else ""
    if not bind:
        return None
    for trunk in config.trunks:
        server, _, trunk_port = trunk.server.partition(":")
        if server == host and int(trunk_port or 5060) == port and trunk.user:
            password = trunk.password.get_secret_value()
            return Target(uri, bind, trunk.user, password, is_direct=False)
    return Target(uri, bind, f"doctor-{os.getpid()}", is_direct=False)


async def _call(deployment: Deployment, target: Target) -> CallResult:
    started = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="gateway-doctor-") as folder:
        report, problem = await _place(Path(folder), target)
    record: dict[str, Any] = {}
    if int(report.get("status") or 0) // 100 == 2:
        record = await _record(deployment, started)
    return CallResult(target, report, record, problem)


async def _place(folder: Path, target: Target) -> tuple[dict[str, Any], str]:
    """Run the caller in a process of its own: our own work must not disturb its clock."""
    scenario, report = folder / "call.toml", folder / "report.json"
    scenario.write_text(_SCENARIO, encoding="utf-8")
    arguments = ["--to", target.uri, "--bind", target.bind, "--user", target.user]
    arguments += ["--scenario", str(scenario), "--report", str(report)]
    environ = dict(os.environ)
    if target.password:
        environ[_PASSWORD] = target.password
        arguments += ["--password-env", _PASSWORD]
    try:
        async with asyncio.timeout(LIMIT_S), _process(arguments, environ) as process:
            _, errors = await process.communicate()
    except TimeoutError:
        return {}, f"the call was not over after {LIMIT_S:g} s"
    if not report.exists():
        return {}, errors.decode(errors="replace").strip().rpartition("\n")[2]
    found: dict[str, Any] = json.loads(report.read_bytes())
    return found, ""


@asynccontextmanager
async def _process(
    arguments: list[str], environ: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.probe",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environ,
    )
    try:
        yield process
    finally:
        await end_child(process, _STOP_S)


async def _record(deployment: Deployment, since: datetime) -> dict[str, Any]:
    """Find the gateway's own record: the newest incoming call since then."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _RECORD_S
    while True:
        calls = deployment.get("/v1/calls?limit=20").body.get("calls", [])
        mine = [call for call in calls if _is_mine(call, since)]
        if mine and mine[0]["state"] == "finished":
            return deployment.get(f"/v1/calls/{mine[0]['call_id']}").body
        if loop.time() > deadline_s:
            return {}
        await asyncio.sleep(_POLL_S)


def _is_mine(call: Mapping[str, Any], since: datetime) -> bool:
    return call["direction"] == "in" and datetime.fromisoformat(call["started_at"]) >= since
