"""Requests as the library would have read them, for tests that have no library."""

from __future__ import annotations

from gateway.sip.message import parse_request
from gateway.sip.received import Received


def received(data: bytes, source: str = "10.1.1.1", to_tag: str = "", **other: object) -> Received:
    """What the library makes of a message without tricks; `other` = what it reads otherwise."""
    try:
        request = parse_request(data.decode("utf-8", "replace"))
    except ValueError:
        request = parse_request("NOTHING sip:x SIP/2.0\r\n\r\n")
    cseq = request.header("cseq").split()
    body = request.body.encode()
    fields: dict[str, object] = {
        "data": data,
        "source": source,
        "port": 5060,
        "method": request.method.upper() if request.method.upper() == "ACK" else request.method,
        "cseq_method": cseq[-1] if cseq else "",
        "to_tag": to_tag,
        "from_tag": "",
        "call_id": request.header("call-id"),
        "cseq": int(cseq[0]) if cseq and cseq[0].isdecimal() else 0,
        "branch": "",
        "header_names": frozenset(request.headers),
        "content_type": request.header("content-type").partition(";")[0] if body else "",
        "body": body,
    }
    return Received(**(fields | other))  # type: ignore[arg-type]
