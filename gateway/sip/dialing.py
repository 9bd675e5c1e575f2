"""Target and caller of a placed call.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.destinations import is_number
from gateway.config.models import TrunkConfig
from gateway.errors import SipError
from gateway.sip_uri import Uri, parse_uri

_PORTS = {"sip": 5060, "sips": 5061}


@dataclass(frozen=True, slots=True)
class Dialled:
    """One call to place."""

    uri: str
    trunk: str = ""
    """Trunk whose account and password place it; empty = none, straight to the URI."""
    caller: str = ""
    """The caller, as a user of a URI; empty = the account itself."""
    headers: tuple[tuple[str, str], ...] = ()


def dial(target: str, trunk: TrunkConfig | None, caller_id: str = "") -> Dialled:
    """Make the URI of a call.

    An address somewhere else is called straight, without the trunk's account: it is no business
    of the trunk's, and its password is none of theirs.

    Args:
        target: SIP URI, or a number when a trunk is given.
        trunk: over which the call was asked for.
        caller_id: number to show, empty = as the trunk is configured.

    Raises:
        SipError: a bad target.
    """
    if trunk is not None and not target.lower().startswith(("sip:", "sips:")):
        return _over(trunk, _escaped(target), caller_id)
    try:
        uri = parse_uri(target)
    except ValueError as error:
        raise SipError(400, f"cannot call {target}: {error}") from error
    if trunk is not None and is_at(uri, trunk.server):
        return _over(trunk, _user_part(target), caller_id)
    return Dialled(target, caller=_escaped(caller_id))


def _over(trunk: TrunkConfig, user: str, caller_id: str) -> Dialled:
    caller = _escaped(caller_id or trunk.caller_id)
    headers: tuple[tuple[str, str], ...] = ()
    if trunk.asserted_identity and (identity := caller or trunk.user):
        headers = (("P-Asserted-Identity", f"<sip:{identity}@{trunk.server}>"),)
    return Dialled(trunk_uri(trunk, user), trunk.name, caller, headers)


def trunk_uri(trunk: TrunkConfig, user: str) -> str:
    """SIP URI of `user`, as a URI has it, at a trunk's server."""
    suffix = "" if trunk.transport == "udp" else f";transport={trunk.transport}"
    return f"sip:{user}@{trunk.server}{suffix}" if user else f"sip:{trunk.server}{suffix}"


def referred_uri(target: str, place: str) -> str:
    """Make the URI that a caller is transferred to.

    Args:
        target: SIP URI or number.
        place: host that is asked for a number, as host:port or URI: a trunk's server, else the
            other side of the call.
    """
    if not is_number(target):
        return target
    if place.lower().startswith(("sip:", "sips:")):
        peer = parse_uri(place)
        place = f"{peer.host}:{peer.port}" if peer.port else peer.host
    return f"sip:{_escaped(target)}@{place}"


def is_at(uri: Uri, server: str) -> bool:
    """Return whether a URI is at a server, given as host or host:port."""
    host, _, port = server.lower().partition(":")
    default = _PORTS.get(uri.scheme, 5060)
    return (uri.host, uri.port or default) == (host, int(port or default))


def _escaped(number: str) -> str:
    """Write a number as a user: # must be escaped (RFC 3261 section 25.1)."""
    return number.replace("#", "%23")


def _user_part(target: str) -> str:
    """Return the user as written: with its escapes."""
    before, at, _ = target.partition(":")[2].partition("@")
    return before if at else ""
