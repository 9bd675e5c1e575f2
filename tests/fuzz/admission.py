"""Admission against the library: whatever it takes for a new call must have been judged as one.

Runs the gateway's own endpoint in this process, sends it damaged requests from a source that may
not call and from one that may, and listens with a module of its own, right before the library's
application layer, to what the library takes for a new call.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import logging
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.call.line import CallFacts, End, Line
from gateway.config.models import OutgoingConfig, SipConfig, UntrustedConfig
from gateway.sip import pj
from gateway.sip.decision import Admit, Decision, Refuse
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.message import SipRequest
from gateway.sip.native import PjsipModule
from gateway.sip.rdata import received
from gateway.sip.received import Received
from gateway.sip.trunk import TrunkState
from tests.fuzz.hostile import mutate
from tests.fuzz.sip import corpus, fresh
from tests.support.gateway_process import free_port, free_rtp_ports

MAY_CALL, MAY_NOT = "127.0.0.2", "127.0.0.3"
_BATCH = 25
_BEFORE_APPLICATION = 63  # PJSIP_MOD_PRIORITY_APPLICATION is 64
_TAGS = (
    ";tag=x", ";tag", ";tag=", " ; tag = x", ";TAG=x", ";t%61g=x", ";q=;tag=x", ';tag="x"',
    "?tag=x", ";tag=x;tag=y", ",;tag=x", "\t;\ttag=x", "\r\n ;tag=x", ';x=";tag=y"',
)  # fmt: skip
_USERS = (
    "sip:100@gw", "sip:gw", "sips:100@gw", "tel:100", "sip:100", "sip:100@", "sip:@gw", "http://x",
    "sip:100%40gw", "sip:[::1]", "urn:service:sos", "sip:100:secret@gw", "SIP:100@gw:5060",
)  # fmt: skip
_NAMES = (
    "", "Bob ", '"Bob" ', '"a;tag=x" ', '"a\\";tag=x" ', '"<sip:a@b>;tag=x" ', '"', "\\",
    "Bob;tag=x ", '"a\\\\" ', "\u00e4 ", '"' + "x" * 300 + '" ',
)  # fmt: skip


@dataclass(slots=True)
class Judged:
    """What happened to what was sent."""

    sent: int = 0
    seconds: float = 0.0
    judged_new: int = 0
    """Requests that admission judged as new calls."""
    new_calls: int = 0
    """Requests that the library took for new calls after admission."""
    calls: Counter[str] = field(default_factory=Counter)
    """Calls that the gateway was given, by source."""
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        """One line of the report."""
        return (
            f"admission {self.sent} sent in {self.seconds:.0f} s, {self.judged_new} judged as new "
            f"calls, {self.new_calls} let in; calls: {dict(self.calls)}; "
            f"refused: {dict(self.refused.most_common(8))}"
        )


class _Sink:
    """Takes calls and ends them at once."""

    def __init__(self, found: Judged) -> None:
        self._found = found
        self.endpoint: SipEndpoint | None = None
        self._number = 0

    def on_incoming(self, line: Line) -> None:
        self._found.calls[line.facts.source.rpartition(":")[0]] += 1
        if sum(self._found.calls.values()) % 5 == 0:
            raise RuntimeError("a call that fails as it begins must not end the process")
        asyncio.get_running_loop().call_soon(self._end, line)

    def _end(self, line: Line) -> None:
        line.hang_up_nowait(End("busy", status=486))
        assert self.endpoint is not None
        self.endpoint.release(line)

    def on_refused(self, facts: CallFacts, refusal: Refuse) -> None:
        self._found.refused[refusal.rule] += 1

    def on_turned_away(self, rule: str, method: str, source: str) -> None:
        self._found.refused[rule] += 1

    def on_outgoing_refused(self, rule: str, target: str) -> None:
        raise AssertionError(rule)

    def on_trunk(self, state: TrunkState) -> None:
        raise AssertionError(state)

    def new_call_id(self) -> str:
        self._number += 1
        return str(self._number)


class _Witness:
    """Compares what the library takes for a new call with what admission has judged."""

    def __init__(self, endpoint: SipEndpoint, found: Judged) -> None:
        self._found = found
        self._last: tuple[Received, Decision] | None = None
        self._judge: Callable[[Received], tuple[Decision, SipRequest]] = (
            endpoint._request_screen.judge
        )
        endpoint._request_screen.judge = self.judge  # type: ignore[method-assign]
        # Our own module instead of the gateway's last line: the first one has to hold alone.
        admitted = endpoint._requests.admitted
        admitted.confirm = self.confirm  # type: ignore[method-assign]
        self._confirm = type(admitted).confirm.__get__(admitted)
        self._lib = ctypes.CDLL(pj.LIBRARY_PATH)
        self._lib.pjsip_rdata_get_dlg.restype = ctypes.c_void_p
        self._lib.pjsip_rdata_get_dlg.argtypes = [ctypes.c_void_p]
        self._module = PjsipModule("mod-witness", _BEFORE_APPLICATION, self.look)
        self._module.register()

    def judge(self, request: Received) -> tuple[Decision, SipRequest]:
        decision, seen = self._judge(request)
        self._last = (request, decision)
        self._found.judged_new += seen.is_initial and seen.method == "INVITE"
        return decision, seen

    def confirm(self, request: Received) -> bool:
        shown: bool = self._confirm(request)
        if not shown and request.method == "INVITE":
            self._found.faults.append(f"only the last line refused {request.data!r}")
        return shown

    def look(self, rdata: int) -> int:
        request = received(rdata)
        if request.method == "INVITE" and not self._lib.pjsip_rdata_get_dlg(rdata):
            self._found.new_calls += 1
            judged = self._last and self._last[0] == request and isinstance(self._last[1], Admit)
            if not judged or request.source != MAY_CALL:
                self._found.faults.append(f"a new call that was not admitted: {request.data!r}")
        return 0


def fuzz_admission(count: int, seed: int) -> Judged:
    """Send so many damaged requests; the result holds what is wrong."""
    return asyncio.run(_run(count, seed))


async def _run(count: int, seed: int) -> Judged:
    found, chance = Judged(), random.Random(seed)
    sink = _Sink(found)
    limits = UntrustedConfig(requests_per_s=10**6, all_requests_per_s=10**6)
    first, last = free_rtp_ports()
    config = SipConfig(
        bind="127.0.0.1",
        port=free_port(),
        rtp_ports=(first, last),
        allow_sources=(f"{MAY_CALL}/32",),
        untrusted=limits,
    )
    async with SipEndpoint(config, (), OutgoingConfig(), sink) as endpoint:
        sink.endpoint = endpoint
        _witness = _Witness(endpoint, found)
        senders = [_sender(address, config.port) for address in (MAY_NOT, MAY_NOT, MAY_CALL)]
        seeds = {peer: corpus(f"{peer.getsockname()[0]}:9") for peer in senders}
        begun = time.monotonic()
        while found.sent < count and not found.faults:
            peer = chance.choice(senders)
            for _ in range(_BATCH):
                peer.send(_request(seeds[peer], chance))
            found.sent += _BATCH
            await _handled(endpoint)
            found.seconds = time.monotonic() - begun
            if found.sent % 100_000 < _BATCH:
                sys.stdout.write(f"      {found.line()}\n")
                sys.stdout.flush()
        for peer in senders:
            peer.close()
    return found


async def _handled(endpoint: SipEndpoint) -> None:
    handled = 1
    while handled:
        handled = endpoint._library.pump_once()
        await asyncio.sleep(0)


def _sender(address: str, port: int) -> socket.socket:
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind((address, 0))
    peer.connect(("127.0.0.1", port))
    return peer


def _request(seeds: list[bytes], chance: random.Random) -> bytes:
    message = chance.choice(seeds) if chance.random() < 0.5 else seeds[0]
    if chance.random() < 0.7:
        message = _with_odd_to(message, chance)
    if chance.random() < 0.6:
        message = mutate(message, chance)
    return fresh(message, chance)[:60_000]


def _with_odd_to(message: bytes, chance: random.Random) -> bytes:
    """Write To in one of the many ways that two readers read in two."""
    head, _, rest = message.partition(b"\r\nTo: ")
    _, _, rest = rest.partition(b"\r\n")
    name = chance.choice(("To: ", "t: ", "TO:", "To :", "To\t: ", "to:\r\n ", "T:", "To: \t"))
    line = f"\r\n{name}{_odd_address(chance)}"
    if chance.random() < 0.1:
        line += f"\r\n{chance.choice(('To', 't', 'tO '))}:{_odd_address(chance)}"
    return head + line.encode("utf-8", "replace") + b"\r\n" + rest


def _odd_address(chance: random.Random) -> str:
    user, inside = chance.choice(_USERS), ""
    if chance.random() < 0.5:
        at = chance.randrange(len(user) + 1)
        inside = chance.choice(_TAGS)
        user = user[:at] + inside + user[at:]
    opening, closing = chance.choice((("<", ">"), ("<", ">"), ("", ""), ("<", ""), ("<<", ">>")))
    behind = "".join(chance.choice(_TAGS) for _ in range(chance.randint(0, 2)))
    return f"{chance.choice(_NAMES)}{opening}{user}{closing}{behind}"


def main() -> int:
    """Run by itself: the library lives once in a process.  Exit code 1 when something was found."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.admission", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="requests to send")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same")
    args = parser.parse_args()
    found = fuzz_admission(args.count, args.seed)
    if not found.judged_new or not found.calls[MAY_CALL]:
        found.faults.append("it proves nothing: no call was judged, or none was let in")
    sys.stdout.write(f"{found.line()}\n")
    sys.stdout.writelines(f"FOUND admission: {text}\n" for text in found.faults)
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
