"""Requests within a call that are none of its business: keep-alives, audits, events.  Pure.

The library answers those with 500, after which PBXs and session border controllers hang up.
"""

from __future__ import annotations

from gateway.sip.decision import Answer
from gateway.sip.fitness import ALLOW
from gateway.sip.message import SipRequest

_SERVED = frozenset({"INVITE", "ACK", "CANCEL", "BYE", "UPDATE", "PRACK", "INFO"})
_KEYS = ("application/dtmf-relay", "application/dtmf", "audio/telephone-event")
_KNOWN = frozenset({"REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE", "REFER"})
_ALLOW = ("Allow", ALLOW)
_OURS = (
    _ALLOW,
    ("Accept", ", ".join(("application/sdp", *_KEYS))),
    ("Supported", "100rel, timer"),
)


def answer_within(request: SipRequest, *, has_referred: bool = True) -> Answer | None:
    """Return the answer to a request within a call; None = the library has one.

    RFC 3261 section 11.2 (OPTIONS), RFC 6665 sections 4.1.3 and 7.3.2 (events).

    Args:
        request: whose dialog is a call's.
        has_referred: we have sent a REFER in it, and wait for news.
    """
    method = request.method.upper()
    if method in _SERVED:
        return None
    if method == "OPTIONS":
        return Answer(200, "OK", _OURS)
    if method == "NOTIFY":
        return _notify(request, has_referred=has_referred)
    status = 405 if method in _KNOWN else 501
    reason = "Method Not Allowed" if method in _KNOWN else "Not Implemented"
    return Answer(status, reason, (_ALLOW,))


def is_too_late(request: SipRequest) -> bool:
    """Return whether a request means nothing to a call that ends: the library would answer 500.

    News of a REFER outlives the call (RFC 5057 section 4.1).
    """
    return request.method != "ACK" and not _is_about_refer(request)


def _is_about_refer(request: SipRequest) -> bool:
    event = request.header("event").partition(";")[0].strip().lower()
    return request.method.upper() == "NOTIFY" and event == "refer"


def _notify(request: SipRequest, *, has_referred: bool) -> Answer | None:
    if not _is_about_refer(request):
        return Answer(489, "Bad Event", (("Allow-Events", "refer"),))
    return None if has_referred else Answer(481, "Subscription Does Not Exist")
