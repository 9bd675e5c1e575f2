"""A carrier: registrar and proxy that challenges everything, in a thread of its own."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from dataclasses import replace

from gateway.probe import sdp
from gateway.probe.sip_messages import Message, SipSyntaxError, parameter, parse, respond

PASSWORD = "right-secret"
GRANTED_S = 7
"""The gateway refreshes a few seconds before its binding expires."""


class Carrier(threading.Thread):
    """A registrar and proxy that challenges everything; in a thread, with a life of its own."""

    contact_suffix = ""
    """Of its own URI: the transport."""
    retry_after = ""
    """Told to accounts that get 503."""
    moved = ""
    """Every INVITE is sent there by a 302."""
    algorithm, qop = "MD5", "auth"
    """What it asks for."""
    elsewhere = ""
    """host:port of who takes its calls over: the carrier is out of the path then."""

    codecs: tuple[str, ...] = ()
    """Of its answers; empty = the first that is offered.  Of several another offer chooses one, and
    is challenged like everything else."""

    more: tuple[tuple[str, str], ...] = ()
    """Headers of its 200 to an INVITE."""

    named = ""
    """Host name that it is called by within its calls."""
    is_silent = False
    """It answers nothing."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.host = host
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self.broken: set[str] = {"late"}
        """Accounts that get 503."""
        self.registered: dict[str, int] = {}
        """Account -> accepted REGISTERs."""
        self.refused: dict[str, int] = {}
        self.seen: list[Message] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                data, source = self._socket.recvfrom(65536)
                request = parse(data)
            except (TimeoutError, SipSyntaxError):
                continue
            if request.method and not self.is_silent and (answer := self._answer(request)):
                self._socket.sendto(answer.serialise(), source)

    def stop(self) -> None:
        self._over.set()
        self.join(10)
        self._socket.close()

    def _answer(self, request: Message) -> Message | None:
        self.seen.append(request)
        match request.method:
            case "ACK":
                return None
            case "REGISTER":
                return self._register(request)
            case "INVITE" | "UPDATE":
                return self._invite(request)
            case "REFER":
                return self._refer(request)
        return respond(request, 200, "OK", to_tag="carrier")

    def _register(self, request: Message) -> Message:
        user = user_of(request.get("From"))
        if user in self.broken:
            later = (("Retry-After", self.retry_after),) if self.retry_after else ()
            return respond(request, 503, "Service Unavailable", to_tag="r", extra=later)
        proof = request.get("Authorization")
        if not proof:
            asks = (self._challenge("WWW"),)
            return respond(request, 401, "Unauthorized", to_tag="r", extra=asks)
        if not self._is_right(proof, request):
            self.refused[user] = self.refused.get(user, 0) + 1
            return respond(request, 403, "Forbidden", to_tag="r")
        wants = parameter(request.get("Contact"), "expires") or request.get("Expires")
        if wants == "0":
            return respond(request, 200, "OK", to_tag="r")
        self.registered[user] = self.registered.get(user, 0) + 1
        contact = re.sub(r";expires=\d+", "", request.get("Contact"))
        binding = ("Contact", f"{contact};expires={GRANTED_S}")
        return respond(request, 200, "OK", to_tag="r", extra=(binding,))

    def _refer(self, request: Message) -> Message:
        proof = request.get("Proxy-Authorization")
        if not proof or 'nonce="again"' not in proof:
            challenge = self._challenge("Proxy", "again")
            return respond(request, 407, "Who are you", to_tag="i", extra=(challenge,))
        is_right = self._is_right(proof, request)
        return respond(request, *((202, "Accepted") if is_right else (403, "No")), to_tag="i")

    def _invite(self, request: Message) -> Message:
        if self.moved:
            to = (("Contact", f"<{self.moved}>"),)
            return respond(request, 302, "Moved Temporarily", to_tag="i", extra=to)
        proof = request.get("Proxy-Authorization")
        is_first = not parameter(request.get("To"), "tag")
        nonce = "a7f0c0ffee" if is_first else "again"
        if not proof or (f'nonce="{nonce}"' not in proof and not is_first):
            challenge = self._challenge("Proxy", nonce)
            return respond(request, 407, "Who are you", to_tag="i", extra=(challenge,))
        if not self._is_right(proof, request):
            return respond(request, 403, "Forbidden", to_tag="i")
        own = sdp.offer("127.0.0.1", 40010, self.codecs or ("PCMU", "PCMA"))
        is_chosen = request.body and not (self.codecs and is_first)
        body = sdp.build(sdp.answer(own, sdp.parse(request.body)) if is_chosen else own)
        if request.method == "UPDATE" and not request.body:
            return respond(request, 200, "OK", extra=self.more)
        kind = ("Content-Type", "application/sdp")
        place = self.elsewhere or f"{self.host}:{self.port}{self.contact_suffix}"
        contact = ("Contact", f"<sip:callee@{place}>")
        answer = respond(
            request, 200, "OK", to_tag="i", extra=(contact, kind, *self.more), body=body
        )
        if not self.elsewhere:
            return answer
        if self.named:
            place = f"{self.named}:{self.port}"
        way = ("Record-Route", f"<sip:{place};lr>")  # an edge on the way stays the nearest
        return replace(answer, headers=(way, *answer.headers))

    def _challenge(self, side: str, nonce: str = "a7f0c0ffee") -> tuple[str, str]:
        asks = f'algorithm={self.algorithm}, qop="{self.qop}"'
        return (f"{side}-Authenticate", f'Digest realm="carrier", nonce="{nonce}", {asks}')

    def _is_right(self, proof: str, request: Message) -> bool:
        """RFC 2617, worked out by hand."""
        found = {k: a or b for k, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', proof)}
        secret = _md5(f"{found['username']}:carrier:{PASSWORD}")
        if self.algorithm == "MD5-sess":
            secret = _md5(f"{secret}:{found['nonce']}:{found['cnonce']}")
        action = f"{request.method}:{found['uri']}"
        if self.qop == "auth-int":
            action += f":{_md5(request.body.decode())}"
        tail = f"{found['nonce']}:{found['nc']}:{found['cnonce']}:{found['qop']}"
        is_as_asked = (found["algorithm"], found["qop"]) == (self.algorithm, self.qop)
        return is_as_asked and found["response"] == _md5(f"{secret}:{tail}:{_md5(action)}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def user_of(header: str) -> str:
    found = re.search(r"sip:([^@>]*)@", header)
    return found[1] if found else ""
