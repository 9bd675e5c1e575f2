"""What Kamailio's answers mean.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from gateway.edge.targets import SET
from gateway.errors import EdgeError
from gateway.sip.trunk_status import TrunkStatus

# Flags of a registration (documentation of the uac module, uac.reg_info).
_ONGOING, _ONLINE, _AUTH_SENT = 2, 4, 8


@dataclass(frozen=True, slots=True)
class Seen:
    """One worker as the dispatcher sees it."""

    uri: str
    answers: bool
    """It takes calls: answered a probe, and has not missed two since."""
    calls: int
    """As the dispatcher counts them."""

    @property
    def address(self) -> str:
        """`host:port`."""
        return self.uri.removeprefix("sip:").partition(";")[0]


@dataclass(frozen=True, slots=True)
class Call:
    """Names a call to Kamailio's dialog module."""

    entry: int
    number: int


class _Load(BaseModel):
    calls: int = Field(0, alias="DLGLOAD")


class _Destination(BaseModel):
    uri: str = Field(alias="URI")
    flags: str = Field(alias="FLAGS")
    """First letter: A active, T trying, I inactive, D disabled."""
    load: _Load = Field(_Load(), alias="RUNTIME")


class _Target(BaseModel):
    one: _Destination = Field(alias="DEST")


class _Set(BaseModel):
    number: int = Field(alias="ID")
    targets: tuple[_Target, ...] = Field((), alias="TARGETS")


class _Record(BaseModel):
    set: _Set = Field(alias="SET")


class _Listing(BaseModel):
    records: tuple[_Record, ...] = Field((), alias="RECORDS")


class _Registration(BaseModel):
    flags: int
    expires: float = 0.0


class _Uptime(BaseModel):
    up_since: str


class _Dialog(BaseModel):
    entry: int = Field(alias="h_entry")
    number: int = Field(alias="h_id")


_DIALOGS = TypeAdapter(tuple[_Dialog, ...])


def started(result: object) -> str:
    """Read the result of `core.uptime`: when it has started, to the second.

    Raises:
        EdgeError: another version of Kamailio than this code knows.
    """
    try:
        return _Uptime.model_validate(result).up_since
    except ValidationError as error:
        raise EdgeError(f"core.uptime cannot be read: {error}") from error


def destinations(result: object) -> list[Seen]:
    """Read the result of `dispatcher.list`.

    Raises:
        EdgeError: another version of Kamailio than this code knows.
    """
    try:
        listing = _Listing.model_validate(result)
    except ValidationError as error:
        raise EdgeError(f"dispatcher.list cannot be read: {error}") from error
    return [
        Seen(
            target.one.uri,
            target.one.flags[:1] in {"A", "T"},
            target.one.load.calls,
        )
        for record in listing.records
        if record.set.number == SET
        for target in record.set.targets
    ]


def calls(result: object) -> list[Call]:
    """Read the result of `dlg.profile_list`.

    Raises:
        EdgeError: another version of Kamailio than this code knows.
    """
    try:
        dialogs = _DIALOGS.validate_python(result or ())
    except ValidationError as error:
        raise EdgeError(f"dlg.profile_list cannot be read: {error}") from error
    return [Call(dialog.entry, dialog.number) for dialog in dialogs]


def trunk_status(name: str, result: object) -> TrunkStatus:
    """Read the result of `uac.reg_info`, of which nothing may be logged: it holds the password.

    Raises:
        EdgeError: another version of Kamailio than this code knows.
    """
    try:
        info = _Registration.model_validate(result)
    except ValidationError:
        raise EdgeError("uac.reg_info cannot be read") from None
    state: Literal["registered", "registering", "failed"] = "failed"
    if info.flags & _ONLINE:
        state = "registered"
    elif info.flags & (_ONGOING | _AUTH_SENT):
        state = "registering"
    expires_s = info.expires if state == "registered" else None
    return TrunkStatus(name=name, state=state, expires_s=expires_s)


def is_taken_back(result: object) -> bool:
    """Return, from the result of `uac.reg_info`, whether an account was unregistered on purpose.

    Raises:
        EdgeError: another version of Kamailio than this code knows.
    """
    try:
        return not _Registration.model_validate(result).expires
    except ValidationError:
        raise EdgeError("uac.reg_info cannot be read") from None


class Lost:
    """Notices workers that answered once and have not for some time."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._silent_since_s: dict[str, float | None] = {}
        """None: it answers."""

    def observe(self, seen: Sequence[Seen], now_s: float) -> list[str]:
        """Return the addresses of those that are lost now; each once, until it answers again."""
        lost = []
        for worker in seen:
            if worker.answers:
                self._silent_since_s[worker.address] = None
                continue
            if worker.address not in self._silent_since_s:
                continue
            since_s = self._silent_since_s[worker.address]
            if since_s is None:
                self._silent_since_s[worker.address] = now_s
            elif now_s - since_s >= self._after_s:
                del self._silent_since_s[worker.address]
                lost.append(worker.address)
        return lost

    def forget(self) -> None:
        """Forget all that was observed."""
        self._silent_since_s.clear()
