"""Callers and workers that only signal: many fit in one loop, and every message is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from gateway.probe.dialog import Dialog, Headers
from gateway.probe.sip_messages import Credentials, Message, address_of, authorization, respond
from gateway.probe.transactions import Address, ClientTransaction, SipSocket, open_sip_socket
from gateway.sip.edge_peer import WORD_HEADER, worker_word
from gateway.sip.message import parse_request


def _sdp(host: str) -> bytes:
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    ).encode()


_AS_SDP: Headers = (("Content-Type", "application/sdp"),)


@dataclass(slots=True)
class Worker:
    """The called side: answers, refuses or stays silent, as it is told."""

    sip: SipSocket
    status: int = 200
    """Final answer to INVITE; 0 = only 180 (it rings), -1 = nothing at all, to nobody."""
    headers: Headers = ()
    """Of the final answer."""
    probe_status: int = 200
    """Answer to OPTIONS."""
    seen: list[Message] = field(default_factory=list)
    """Every request but OPTIONS, repetitions left out."""
    probes: int = 0
    place: str = ""
    """Where it wants requests within its calls, as host or host:port: it records that route."""
    _ringing: dict[str, tuple[Message, Address]] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.sip.address[1]

    def got(self, method: str) -> list[Message]:
        return [message for message in self.seen if message.method == method]

    def take(self, request: Message, source: Address) -> None:
        if request.method == "OPTIONS":
            self.probes += 1
            if self.status != -1:
                self._answer(request, source, self.probe_status)
            return
        self.seen.append(request)
        if self.status == -1:
            return
        if request.method == "INVITE":
            self._invited(request, source)
        elif request.method == "CANCEL":
            self._answer(request, source, 200)
            ringing = self._ringing.pop(request.get("Call-ID"), None)
            if ringing:
                self._answer(*ringing, 487)
        elif request.method != "ACK":
            self._answer(request, source, 200)

    def _invited(self, request: Message, source: Address) -> None:
        self._answer(request, source, 100)
        if self.status == 0:
            self._ringing[request.get("Call-ID")] = (request, source)
            self._answer(request, source, 180)
        elif self.status == 200:
            contact = ("Contact", f"<sip:worker@{self.sip.address[0]}:{self.port}>")
            extra = (contact, *_AS_SDP, *self.headers)
            self._answer(request, source, 200, extra, _sdp(self.sip.address[0]))
        else:
            self._answer(request, source, self.status, self.headers)

    def _answer(
        self, request: Message, to: Address, status: int, extra: Headers = (), body: bytes = b""
    ) -> None:
        tag = f"w{self.port}"
        message = respond(request, status, "Said", to_tag=tag, extra=extra, body=body)
        if self.place:
            way = ("Record-Route", f"<sip:{self.place};lr>")
            message = replace(message, headers=(way, *message.headers))
        self.sip.respond(request, message, to)

    async def bye(self, invite: Message, key: str) -> Message:
        """Hang up the call of an INVITE that was answered, signed with the edge's key."""
        dialog = Dialog(f"{self.sip.address[0]}:{self.port}", "worker")
        dialog._tag = f"w{self.port}"
        dialog.adopt(invite)
        hop = address_of(dialog._routes[0].strip("<>"))
        return await self.sip.request(signed(dialog.request("BYE"), key), hop).final()


def signed(request: Message, key: str) -> Message:
    """As a worker sends it."""
    word = worker_word(key, parse_request(request.serialise().decode()))
    return replace(request, headers=(*request.headers, (WORD_HEADER, word)))


@dataclass(slots=True)
class Caller:
    """The calling side of one call."""

    sip: SipSocket
    edge: Address
    user: str = "caller"
    called: str = "100"
    dialog: Dialog = field(init=False)
    provisional: list[int] = field(default_factory=list)
    seen: list[Message] = field(default_factory=list)
    """Requests that came."""
    answer: Message | None = None
    _invite: ClientTransaction | None = None

    def __post_init__(self) -> None:
        host, port = self.sip.address
        self.dialog = Dialog(f"{host}:{port}", self.user)
        self.sip.on_request = self._take

    def _take(self, request: Message, source: Address) -> None:
        self.seen.append(request)
        if request.method != "ACK":
            self.sip.respond(request, respond(request, 200, "OK", to_tag=self.dialog._tag), source)

    async def call(self, extra: Headers = (), credentials: Credentials | None = None) -> Message:
        """Send an INVITE (a second one when it is challenged) and give the final answer."""
        self.dialog.aim(f"sip:{self.called}@{self.edge[0]}:{self.edge[1]}")
        final = await self._try(extra)
        if final.status == 401 and credentials:
            challenges = final.get_all("WWW-Authenticate")
            proof = authorization(challenges, credentials, "INVITE", self.dialog.target, "c0ffee")
            final = await self._try((*extra, ("Authorization", proof)))
        self.answer = final
        return final

    async def _try(self, extra: Headers) -> Message:
        request = self.dialog.request("INVITE", (*_AS_SDP, *extra), _sdp(self.sip.address[0]))
        self._invite = self.sip.request(request, self.edge)
        async for response in self._invite.responses():
            self.provisional.append(response.status)
            final = response
        if final.status < 300:
            self.dialog.confirm(final)
        self.sip.send(self.dialog.acknowledge(request, final), self.edge)
        return final

    async def cancel(self) -> Message:
        """Give up the INVITE; its own final answer is what `call` gives."""
        assert self._invite is not None
        return await self.sip.request(self.dialog.cancel(self._invite.request), self.edge).final()

    async def ask(self, method: str, extra: Headers = ()) -> Message:
        """Send a request within the call."""
        return await self.sip.request(self.dialog.request(method, extra), self.edge).final()


@asynccontextmanager
async def worker(host: str = "127.0.0.1", **how: object) -> AsyncIterator[Worker]:
    """A worker on a free port of the loopback."""
    async with open_sip_socket(host) as sip:
        made = Worker(sip, **how)  # type: ignore[arg-type]
        sip.on_request = made.take
        yield made


@asynccontextmanager
async def caller(port: int, host: str = "127.0.0.1", **how: str) -> AsyncIterator[Caller]:
    """A caller at an address of the loopback."""
    async with open_sip_socket(host) as sip:
        yield Caller(sip, ("127.0.0.1", port), **how)


async def silence(sip: SipSocket, request: Message, edge: Address, wait_s: float) -> bool:
    """Send a request; was there no answer for so long?"""
    transaction = sip.request(request, edge)
    try:
        async with asyncio.timeout(wait_s):
            await transaction.final()
    except TimeoutError:
        return True
    finally:
        transaction.stop()
    return False
