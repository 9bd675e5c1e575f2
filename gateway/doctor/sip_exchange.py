"""One SIP request and its answer, over UDP or TCP, from a socket of our own."""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
from dataclasses import dataclass
from typing import Literal

from gateway.doctor.network import address_towards
from gateway.errors import SipError
from gateway.probe.dialog import Headers, new_branch
from gateway.probe.sip_messages import (
    Credentials,
    Message,
    SipSyntaxError,
    authorization,
    parse,
)
from gateway.probe.transactions import open_sip_socket

TIMEOUT_S = 4.0
_LENGTH = re.compile(rb"^(?:content-length|l)\s*:\s*(\d+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SipPeer:
    """The address to ask, and the user to ask as."""

    host: str
    port: int
    address: str
    """IPv4 address of `host`."""
    transport: Literal["udp", "tcp", "tls"] = "udp"
    user: str = ""
    credentials: Credentials | None = None

    @property
    def uri(self) -> str:
        """SIP URI of the server itself."""
        port = "" if self.port == 5060 else f":{self.port}"
        return f"sip:{self.host}{port}"


async def options(peer: SipPeer) -> Message | None:
    """Ask what the server can do (RFC 3261 section 11); None when nothing comes."""
    return await _ask(peer, "OPTIONS", peer.uri, (("Accept", "application/sdp"),))


async def bindings(peer: SipPeer) -> Message | None:
    """Ask the registrar for our bindings, with our credentials; None when nothing comes.

    A REGISTER without Contact changes nothing (RFC 3261 section 10.2.3): calls go where they went.
    """
    answer = await _ask(peer, "REGISTER", peer.uri)
    if answer is None or answer.status not in {401, 407} or peer.credentials is None:
        return answer
    asks, gives = ("WWW-Authenticate", "Authorization")
    if answer.status == 407:
        asks, gives = ("Proxy-Authenticate", "Proxy-Authorization")
    value = authorization(
        answer.get_all(asks), peer.credentials, "REGISTER", peer.uri, secrets.token_hex(8)
    )
    return await _ask(peer, "REGISTER", peer.uri, ((gives, value),))


async def _ask(peer: SipPeer, method: str, uri: str, extra: Headers = ()) -> Message | None:
    own = address_towards(peer.address)
    if not own:
        return None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            if peer.transport != "udp":
                return await _ask_tcp(peer, method, uri, extra)
            async with open_sip_socket(own) as sip:
                request = _request(peer, method, uri, f"{own}:{sip.address[1]}", extra)
                return await sip.request(request, (peer.address, peer.port)).final()
    except (TimeoutError, OSError, SipError, SipSyntaxError):
        return None


async def _ask_tcp(peer: SipPeer, method: str, uri: str, extra: Headers) -> Message:
    is_tls = peer.transport == "tls"
    reader, writer = await asyncio.open_connection(
        peer.address,
        peer.port,
        ssl=ssl.create_default_context() if is_tls else None,
        server_hostname=peer.host if is_tls else None,
    )
    try:
        host, port = writer.get_extra_info("sockname")[:2]
        writer.write(_request(peer, method, uri, f"{host}:{port}", extra).serialise())
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            found = _LENGTH.search(head)
            body = await reader.readexactly(int(found[1]) if found else 0)
            answer = parse(head.lstrip() + body)
            if answer.status >= 200:
                return answer
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise SipError(408, f"no whole answer to {method}") from error
    finally:
        writer.close()


def _request(peer: SipPeer, method: str, uri: str, own: str, extra: Headers) -> Message:
    who = f"sip:{peer.user or 'doctor'}@{peer.host}"
    headers = (
        ("Via", f"SIP/2.0/{peer.transport.upper()} {own};rport;branch={new_branch()}"),
        ("Max-Forwards", "70"),
        ("From", f"<{who}>;tag={secrets.token_hex(5)}"),
        ("To", f"<{who if method == 'REGISTER' else uri}>"),
        ("Call-ID", f"{secrets.token_hex(10)}@{own.partition(':')[0]}"),
        ("CSeq", f"1 {method}"),
        ("User-Agent", "voice-gateway doctor"),
        *extra,
    )
    if method == "OPTIONS":
        headers = (*headers, ("Contact", f"<sip:{peer.user or 'doctor'}@{own}>"))
    return Message(headers, method=method, uri=uri)
