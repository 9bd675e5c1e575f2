"""The parties of a call: trunk, called number, caller.  Pure.

The trunk is told by the source of a call (or by the edge, which has seen it), never by what the
caller writes; what a trunk's own headers say of numbers counts for calls that came over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.config.models import TrunkConfig
from gateway.sip.message import SipRequest
from gateway.sip_uri import first_number, number_of, uri_number

_WORDS = {
    "request-uri": "Request-URI",
    "to": "To",
    "p-called-party-id": "P-Called-Party-ID",
    "diversion": "Diversion",
}


@dataclass(frozen=True, slots=True)
class Party:
    """A number, and where it was read."""

    number: str
    origin: str
    """Name of the header, or `Request-URI`."""


def called_party(request: SipRequest, trunk: TrunkConfig | None) -> Party:
    """Return the called number.

    Many carriers send the INVITE to the Contact that was registered: then the Request-URI names
    the account, and the number is in P-Called-Party-ID (RFC 7315 section 4.2) or To.
    """
    setting = trunk.called_from if trunk else "request-uri"
    if setting == "auto":
        return _automatic(request, trunk)
    number = _READ[setting](request)
    if number or setting == "request-uri":
        return Party(number, _WORDS[setting])
    return _automatic(request, trunk)


def caller_number(request: SipRequest, trunk: TrunkConfig | None) -> str:
    """Return the caller: by From, or as the trunk asserts (RFC 3325).

    Empty for a caller who hides the number (RFC 3323 section 4.1.1.3).
    """
    if trunk and trunk.caller_from == "p-asserted-identity":
        asserted = first_number(request.headers.get("p-asserted-identity", ()))
        if asserted:
            return _unless_withheld(asserted)
    return _unless_withheld(number_of(request.header("from")))


def choose_trunk(trunks: Iterable[TrunkConfig], request: SipRequest) -> str:
    """Distinguish trunks whose server is at one address: by the account that is called.

    Args:
        trunks: those at the source of the request.
        request: an INVITE; its Request-URI is the Contact that one of them registered, or a number.
    """
    found = list(trunks)
    user = uri_number(request.uri)
    named = (trunk.name for trunk in found if user and user in _account_names(trunk))
    return next(named, found[0].name if found else "")


def called_from_words(trunk: TrunkConfig) -> str:
    """Return where the called number of a trunk's calls is taken from."""
    account = (
        f'where that names the account "{trunk.user}"' if trunk.user else "where that is empty"
    )
    fallback = f"Request-URI; P-Called-Party-ID, then To, {account}"
    if trunk.called_from == "auto":
        return fallback
    words = _WORDS[trunk.called_from]
    return words if trunk.called_from == "request-uri" else f"{words}, else as auto: {fallback}"


def _unless_withheld(number: str) -> str:
    return "" if number.casefold() == "anonymous" else number


def _automatic(request: SipRequest, trunk: TrunkConfig | None) -> Party:
    names = {"", *(_account_names(trunk) if trunk else ())}
    dialled = uri_number(request.uri)
    if trunk is None or dialled not in names:
        return Party(dialled, _WORDS["request-uri"])
    for key in ("p-called-party-id", "to"):
        number = _READ[key](request)
        if number not in names:
            return Party(number, _WORDS[key])
    return Party(dialled, _WORDS["request-uri"])


def _account_names(trunk: TrunkConfig) -> set[str]:
    return {trunk.user, trunk.name} if trunk.user else {trunk.name}


_READ: dict[str, Callable[[SipRequest], str]] = {
    "request-uri": lambda request: uri_number(request.uri),
    "to": lambda request: number_of(request.header("to")),
    "p-called-party-id": lambda request: first_number(request.headers.get("p-called-party-id", ())),
    # The first of several names the last diversion (RFC 5806 section 4).
    "diversion": lambda request: first_number(request.headers.get("diversion", ())),
}
