"""SIP transactions over one UDP socket: retransmission, matching, replay (RFC 3261, 17)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.errors import SipError
from gateway.probe.sip_messages import Message, SipSyntaxError, parse

# RFC 3261 section 17.1.1.1: round trip estimate, and the longest retransmission interval.
T1_S = 0.5
T2_S = 4.0
_TIMEOUT_S = 64 * T1_S
_REMEMBERED_ANSWERS = 64

Address = tuple[str, int]


class ClientTransaction:
    """One request on its way, repeated until something answers."""

    def __init__(self, request: Message, send: Callable[[], None]) -> None:
        self.request = request
        self.is_done = False
        """True when a final response has come."""
        self._send = send
        self._responses: asyncio.Queue[Message] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._repeat(T1_S)

    def receive(self, response: Message) -> None:
        """Accept a response; the first one ends the repetitions."""
        self.stop()
        self.is_done = response.status >= 200
        self._responses.put_nowait(response)

    def stop(self) -> None:
        """Repeat no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def responses(self) -> AsyncIterator[Message]:
        """Yield responses up to and including the final one.

        Raises:
            SipError: 408, nothing at all came within 64 * T1.
        """
        limit: float | None = _TIMEOUT_S
        while True:
            try:
                async with asyncio.timeout(limit):
                    response = await self._responses.get()
            except TimeoutError:
                self.stop()
                raise SipError(408, f"no answer to {self.request.method}") from None
            # RFC 3261 figure 5: a ringing INVITE waits as long as it takes.
            limit = None if self.request.method == "INVITE" else limit
            yield response
            if response.status >= 200:
                return

    async def final(self) -> Message:
        """Wait for the final response."""
        async for response in self.responses():
            if response.status >= 200:
                return response
        raise SipError(408, f"no answer to {self.request.method}")

    def _repeat(self, interval_s: float) -> None:
        self._send()
        longer = interval_s * 2
        if self.request.method != "INVITE":
            longer = min(longer, T2_S)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(interval_s, self._repeat, longer)


class SipSocket(asyncio.DatagramProtocol):
    """A UDP socket that speaks SIP; open it with `open_sip_socket`."""

    def __init__(self) -> None:
        self.address: Address = ("", 0)
        self.on_request: Callable[[Message, Address], None] = lambda _message, _source: None
        """Called for every new request (also ACK), never for a repeated one."""
        self.on_stray_response: Callable[[Message], None] = lambda _message: None
        """Called for a final response that is repeated because our ACK was lost."""
        self._transport: asyncio.DatagramTransport | None = None
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._answers: OrderedDict[tuple[str, str], bytes | None] = OrderedDict()

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's own signature
        """Note the transport (asyncio)."""
        self._transport = transport
        self.address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401 - asyncio's own
        """Accept one datagram (asyncio)."""
        if len(data) <= 4:  # keep-alive: CRLF CRLF or zero bytes
            return
        try:
            message = parse(data)
        except SipSyntaxError:
            return  # an endpoint that sends rubbish gets no answer, as with any UA
        if message.status:
            self._take_response(message)
        else:
            self._take_request(message, addr[:2])

    def error_received(self, exc: Exception) -> None:
        """Ignore ICMP errors: the transaction's own timer decides (asyncio)."""

    def send(self, message: Message, to: Address) -> None:
        """Send once, without a transaction: an ACK."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(message.serialise(), to)

    def request(self, request: Message, to: Address) -> ClientTransaction:
        """Send a request and keep repeating it until it is answered."""
        transaction = ClientTransaction(request, lambda: self.send(request, to))
        self._clients[request.branch, request.method] = transaction
        loop = asyncio.get_running_loop()
        loop.call_later(_TIMEOUT_S, transaction.stop)
        return transaction

    def respond(self, request: Message, response: Message, to: Address) -> None:
        """Answer a request; a repetition of it gets the same answer again."""
        self._answers[request.branch, request.method] = response.serialise()
        self.send(response, to)

    def close(self) -> None:
        """Stop every timer and close the socket."""
        for transaction in self._clients.values():
            transaction.stop()
        if self._transport is not None:
            self._transport.close()

    def _take_response(self, response: Message) -> None:
        transaction = self._clients.get((response.branch, response.cseq[1]))
        if transaction is None:
            return
        if transaction.is_done:
            self.on_stray_response(response)
        else:
            transaction.receive(response)

    def _take_request(self, request: Message, source: Address) -> None:
        key = (request.branch, request.method)
        if request.method != "ACK" and key in self._answers:
            answer = self._answers[key]
            if answer is not None and self._transport is not None:
                self._transport.sendto(answer, source)
            return
        if request.method != "ACK":
            self._answers[key] = None
            while len(self._answers) > _REMEMBERED_ANSWERS:
                self._answers.popitem(last=False)
        self.on_request(request, source)


@asynccontextmanager
async def open_sip_socket(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[SipSocket]:
    """Open a SIP socket on a local address, port 0 = any; closed on leaving."""
    loop = asyncio.get_running_loop()
    _, sip = await loop.create_datagram_endpoint(SipSocket, local_addr=(host, port))
    try:
        yield sip
    finally:
        sip.close()
