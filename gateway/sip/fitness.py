"""Which requests the SIP library cannot take, or could misread.  Pure."""

from __future__ import annotations

import re

from gateway.sip.decision import Admit, Decision, Ignore, Refuse
from gateway.sip.message import SipRequest, ambiguity
from gateway.sip.offer import MAX_PARTS, Fault, descriptions, structure_fault, too_many_parts
from gateway.sip_uri import members

_KNOWN = frozenset(
    {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "PRACK", "INFO", "NOTIFY"}
)
ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, NOTIFY"
MAX_ECHO = 2800
"""Bytes that an answer repeats: what we add must fit into the library's 4,000, too."""
_LINE = len("Record-Route: \r\n")
"""The library writes each value into a line of its own."""
_ECHOED = ("via", "record-route", "from", "to", "call-id", "cseq")
_NAMED_HOST = re.compile(r";\s*maddr\s*=\s*(?![\d.]+\s*(?:;|$))", re.IGNORECASE)
_EXTENSIONS = frozenset({"100rel", "timer"})


def unfit(request: SipRequest, difference: str = "") -> Decision | None:
    """Return how to answer what the library cannot take or could misread; None = it is fit.

    To be asked before the library's transactions see the request.

    Args:
        request: as read.
        difference: what the library has read otherwise, empty for nothing.
    """
    if request.is_initial and request.method.upper() == "ACK":
        # Acknowledges nothing.  Where it looks like a merged request (RFC 3261 section 8.2.2.2) the
        # library would answer it with 482, and abort the process over answering an ACK.
        return Ignore("sip.syntax")
    if unclear := difference or ambiguity(request):
        return Refuse("sip.syntax", 400, f"Bad request: {unclear}")
    if _NAMED_HOST.search(request.header("via").partition(",")[0]):
        return Ignore("sip.names")  # an answer could be sent only after a lookup
    if request.method != "ACK" and (refusal := _unserved(request)):
        return refusal
    if fault := _description_fault(request):
        return _bad_description(request, fault)
    return None


def _unserved(request: SipRequest) -> Refuse | None:
    if request.method not in _KNOWN and request.is_initial:
        return Refuse("sip.methods", 405, "Method Not Allowed", (("Allow", ALLOW),))
    return _unanswerable(request) or _encoded(request) or _too_demanding(request)


def _too_demanding(request: SipRequest) -> Refuse | None:
    """Refuse extensions that we lack within calls, where the library does not look for them.

    RFC 3261 section 8.2.2.3.
    """
    if request.is_initial or request.method == "CANCEL":
        return None
    wanted = [name.strip() for name in ",".join(request.headers.get("require", ())).split(",")]
    lacking = [name for name in wanted if name and name.lower() not in _EXTENSIONS]
    if not lacking:
        return None
    headers = (("Unsupported", ", ".join(lacking)),)
    return Refuse("sip.extensions", 420, "Bad Extension", headers)


def _unanswerable(request: SipRequest) -> Refuse | None:
    """Refuse what the library could begin, but not answer: with long routes no answer would fit."""
    values = [value for name in _ECHOED for value in members(request.headers.get(name, ()))]
    if sum(len(value.encode("utf-8", "replace")) + _LINE for value in values) <= MAX_ECHO:
        return None
    return Refuse("sip.size", 513, "Message Too Large")  # RFC 3261 section 21.5.7


def _encoded(request: SipRequest) -> Refuse | None:
    """Refuse a body that would have to be unpacked (RFC 3261 section 8.2.3)."""
    encoding = request.header("content-encoding").lower()
    if not request.body or encoding in {"", "identity"}:
        return None
    headers = (("Accept-Encoding", "identity"),)
    return Refuse("sip.encoding", 415, "Unsupported Media Type", headers)


def _description_fault(request: SipRequest) -> Fault | None:
    if too_many_parts(request):
        return Fault(f"more than {MAX_PARTS} parts")
    faults = map(structure_fault, descriptions(request))
    return next((fault for fault in faults if fault), None)


def _bad_description(request: SipRequest, fault: Fault) -> Decision:
    """Answer a fault in SDP.  An ACK cannot be refused: the library gets it without its body."""
    if request.method.upper() == "ACK":
        return Admit(without_body=True)
    return Refuse("sdp", fault.status, f"Bad SDP: {fault.text}")
