"""A SIP dialog's identity, and every message built from it (RFC 3261 section 12).  No I/O."""

from __future__ import annotations

import secrets

from gateway.probe.sip_messages import Message, respond, uri_of

Headers = tuple[tuple[str, str], ...]
_ALLOW = ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY")


class Dialog:
    """Tags, targets, route set and the local sequence of one call."""

    def __init__(self, host_port: str, user: str) -> None:
        """Start as the calling side.

        Args:
            host_port: our own `host:port`, for Via and Contact.
            user: our name or number.
        """
        self.call_id = f"{secrets.token_hex(10)}@{host_port.partition(':')[0]}"
        self.target = ""
        """Request-URI: the called address, then the other side's Contact."""
        self.remote = ""
        self._tag = secrets.token_hex(5)
        self._contact = f"<sip:{user}@{host_port}>"
        self._local = f"{self._contact};tag={self._tag}"
        self._host_port = host_port
        self._routes: tuple[str, ...] = ()
        self._cseq = 0

    def aim(self, target: str) -> None:
        """Set the target."""
        self.target, self.remote = target, f"<{target}>"

    def adopt(self, invite: Message) -> None:
        """Become the called side of an incoming INVITE (section 12.1.1)."""
        self._local = f"{invite.get('To')};tag={self._tag}"
        self.remote, self.call_id = invite.get("From"), invite.get("Call-ID")
        self.target = uri_of(invite.get("Contact"))
        self._routes = tuple(invite.get_all("Record-Route"))

    def confirm(self, answered: Message) -> None:
        """Read remote tag, target and route set from a 2xx (section 12.1.2)."""
        self.remote = answered.get("To")
        if contact := answered.get("Contact"):
            self.target = uri_of(contact)
        if not self._routes:
            self._routes = tuple(reversed(answered.get_all("Record-Route")))

    def request(self, method: str, extra: Headers = (), body: bytes = b"") -> Message:
        """Build the next request."""
        self._cseq += 1
        return self._build(method, self._cseq, extra, body)

    def cancel(self, invite: Message) -> Message:
        """Build the CANCEL of our INVITE: same branch, same number (section 9.1)."""
        return self._same_transaction(invite, "CANCEL", invite.get("To"))

    def acknowledge(self, invite: Message, final: Message) -> Message:
        """Build the ACK: of its own for a 2xx, else of the INVITE's transaction (17.1.1.3)."""
        if final.status < 300:
            return self._build("ACK", invite.cseq[0])
        return self._same_transaction(invite, "ACK", final.get("To"))

    def response(
        self,
        request: Message,
        status: int,
        reason: str,
        extra: Headers = (),
        body: bytes = b"",
    ) -> Message:
        """Build our response to a request."""
        headers = (("Contact", self._contact), _ALLOW, *extra)
        return respond(request, status, reason, to_tag=self._tag, extra=headers, body=body)

    def _same_transaction(self, invite: Message, method: str, to: str) -> Message:
        headers = (
            ("Via", invite.get("Via")),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in invite.get_all("Route")),
            ("From", invite.get("From")),
            ("To", to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{invite.cseq[0]} {method}"),
        )
        return Message(headers, method=method, uri=invite.uri)

    def _build(self, method: str, number: int, extra: Headers = (), body: bytes = b"") -> Message:
        via = f"SIP/2.0/UDP {self._host_port};rport;branch={new_branch()}"
        headers = (
            ("Via", via),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in self._routes),
            ("From", self._local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
            ("Contact", self._contact),
            _ALLOW,
            ("User-Agent", "voice-gateway probe"),
            *extra,
        )
        return Message(headers, body, method=method, uri=self.target)


def new_branch() -> str:
    """A branch parameter with RFC 3261's magic cookie."""
    return f"z9hG4bK{secrets.token_hex(8)}"
