"""A request as the SIP library itself has read it.  Pure.

All decisions about a request rest on this reading, never on a second parser: where two differ
over one message, an attacker writes the message that they differ over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gateway.sip.message import SipRequest, long_name, parse_request

_HALF_LINE_END = re.compile(rb"\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Received:
    """What the library's parser made of one request."""

    data: bytes
    """As it came."""
    source: str
    """IP address."""
    port: int
    method: str
    """In capitals where it is one of the methods of RFC 3261, in whatever case it was written."""
    cseq_method: str
    to_tag: str
    """Empty: the library takes the request for one outside of any dialog."""
    from_tag: str
    call_id: str
    cseq: int
    branch: str
    """Of the topmost Via."""
    header_names: frozenset[str]
    """As written, in any case, long or compact."""
    content_type: str
    """`type/subtype`, empty without a body."""
    body: bytes
    transport: int = 0
    """Tells the connections apart that requests come over."""

    @property
    def is_new_call(self) -> bool:
        """The library would make a call of it."""
        return self.method == "INVITE" and not self.to_tag


def as_request(received: Received) -> tuple[SipRequest, str]:
    """Read headers for their values, and say where that reading and the library's differ.

    Raises:
        ValueError: not a SIP request.
    """
    request = parse_request(received.data.decode("utf-8", "replace"))
    difference = _difference(request, received)
    body = received.body.decode("utf-8", "replace")
    if received.content_type.lower().startswith("multipart/"):
        body = request.body  # the library keeps the parts, not the text
    as_the_library = replace(request, method=received.method, to_tag=received.to_tag, body=body)
    return as_the_library, difference


def _difference(request: SipRequest, received: Received) -> str:
    if _HALF_LINE_END.search(received.data.partition(b"\r\n\r\n")[0]):
        return "a line end of CR alone"  # the end of a header to some, a part of it to others
    if request.method != received.method:
        return "the method"
    if received.cseq_method != received.method:
        return "CSeq is of another method"  # RFC 3261 section 8.1.1.5
    hidden = {long_name(name) for name in received.header_names} - request.headers.keys()
    if hidden:
        return f"the header {min(hidden)}"
    return _body_difference(request, received)


def _body_difference(request: SipRequest, received: Received) -> str:
    kind = request.header("content-type").partition(";")[0]
    if received.body and "".join(kind.split()).lower() != received.content_type.lower():
        return "the type of the body"
    length = request.header("content-length")
    if length.isdecimal() and int(length[:9]) > len(request.body.encode("utf-8", "replace")):
        return "the body is shorter than Content-Length"  # RFC 3261 section 18.3
    return ""
