"""A SIP party that asks for somebody else's password."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.probe.dialog import Headers
from gateway.probe.sip_messages import Message, respond
from gateway.probe.transactions import Address, SipSocket, open_sip_socket


class Hostile:
    """Challenges every request as if it were the carrier, each time with another nonce."""

    def __init__(self, sip: SipSocket) -> None:
        self.sip = sip
        self.seen: list[Message] = []
        sip.on_request = self.take

    @property
    def port(self) -> int:
        return self.sip.address[1]

    def take(self, request: Message, source: Address) -> None:
        self.seen.append(request)
        if request.method in {"ACK", "CANCEL"}:
            return
        side, status = ("Proxy", 407) if len(self.seen) % 2 else ("WWW", 401)
        nonce = secrets.token_hex(4)
        value = f'Digest realm="carrier", nonce="{nonce}", algorithm=MD5, qop="auth", stale=true'
        extra: Headers = ((f"{side}-Authenticate", value),)
        self.sip.respond(request, respond(request, status, "No", to_tag="e", extra=extra), source)

    def got(self, method: str) -> list[Message]:
        return [request for request in self.seen if request.method == method]

    @property
    def proofs(self) -> list[Message]:
        names = ("Authorization", "Proxy-Authorization")
        return [m for m in self.seen if any(m.get(name) for name in names)]


@asynccontextmanager
async def hostile(host: str = "127.0.0.1") -> AsyncIterator[Hostile]:
    async with open_sip_socket(host) as sip:
        yield Hostile(sip)
