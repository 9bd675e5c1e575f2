"""What the HTTP API needs of the gateway behind it, and the bodies that go in and out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.config.models import Eagerness
from gateway.records.model import CallRecord, CallSummary
from gateway.records.query import CallQuery, StoredAudio
from gateway.sip.trunk_status import TrunkStatus
from gateway.webhooks.status import WebhookStatus

_USER = r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%#]{1,128}"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
_PARAMETERS = r"(?:;[A-Za-z0-9\-_.!~*'()%]+(?:=[A-Za-z0-9\-_.!~*'()%\[\]/:&+$]+)?){0,8}"
# RFC 3261 section 19.1 without password, headers (`?Replaces=...`) and IPv6 references
_SIP_URI = re.compile(rf"sip:(?:{_USER}@)?{_HOST}(?::(\d{{1,5}}))?{_PARAMETERS}", re.ASCII | re.I)
_NUMBER = re.compile(r"\+?[0-9*#]{1,32}", re.ASCII)


def check_target(target: str) -> str:
    """Check a SIP URI or a bare telephone number.

    Raises:
        ValueError: it is neither.
    """
    target = target.strip()
    if _NUMBER.fullmatch(target):
        return target
    found = _SIP_URI.fullmatch(target)
    if found is None:
        raise ValueError('must be "sip:user@host[:port]" or a number such as +4930123456')
    if found[1] is not None and not 1 <= int(found[1]) <= 65535:
        raise ValueError(f"port {found[1]} is not between 1 and 65535")
    return target


def _check_speech(text: str) -> str:
    text = " ".join(text.split())
    if not text or not text.isprintable():
        raise ValueError("must hold printable text")
    return text


NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
VariableValue = Annotated[str, Field(max_length=200)]
SipTarget = Annotated[str, Field(max_length=512), AfterValidator(check_target)]


class Body(BaseModel):
    """A request or reply body: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlaceCallBody(Body):
    """The number or address to call."""

    to: SipTarget = Field(
        description="SIP URI, or a bare number when a trunk is given",
        examples=["sip:bob@192.0.2.7"],
    )
    agent: str = Field(default="", max_length=128, description="empty = the default agent")
    trunk: str = Field(default="", max_length=128, description="empty = directly, no trunk")
    caller_id: str = Field(
        default="",
        max_length=64,
        pattern=r"^[A-Za-z0-9+*#._-]*$",
        description="number that the called party sees; empty = the trunk's",
    )
    variables: dict[VariableName, VariableValue] = Field(
        default={},
        max_length=32,
        description="for {var.NAME} in greeting, instructions and dialplan, and for tools",
        examples=[{"name": "Ms Miller", "order": "4711"}],
    )


class TransferBody(Body):
    """Where to."""

    target: SipTarget = Field(description="SIP URI or number", examples=["sip:desk@192.0.2.7"])


class SayBody(Body):
    """What to speak."""

    text: Annotated[str, Field(max_length=2000), AfterValidator(_check_speech)] = Field(
        description="plain text, no markup", examples=["Please hold the line."]
    )


class DtmfBody(Body):
    """Which keys."""

    digits: str = Field(pattern=r"^[0-9A-Da-d*#]{1,64}$", examples=["1234#"])


class EagernessBody(Body):
    """How soon the caller's pauses are taken for the end of a turn."""

    eagerness: Eagerness = Field(
        description="low: rather wait; high: rather answer; auto: learn from the caller's pauses",
        examples=["low"],
    )


class AgentBody(Body):
    """The agent that is to lead the call."""

    agent: str = Field(min_length=1, max_length=128, examples=["support"])
    cut: bool = Field(
        default=False, description="cut what the bot is saying; false: it is finished first"
    )


class SettingsChangedBody(Body):
    """What is different in the call now."""

    changed: tuple[str, ...] = Field(description="dotted keys, as in `[agents.NAME]`")


class LanguageBody(Body):
    """The language that the call is to go on in."""

    language: str = Field(
        pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]+)*$", max_length=35, examples=["de", "pt-BR"]
    )
    cut: bool = Field(
        default=False, description="cut what the bot is saying; false: it is finished first"
    )


class CallPlacedBody(Body):
    """The call that was begun."""

    call_id: str


class CallsQuery(CallQuery):
    """Which calls to list."""

    active: bool | None = Field(
        default=None, description="short for state=active (true) or state=finished (false)"
    )

    def query(self) -> CallQuery:
        """Return it without the short form."""
        known = self.model_dump(exclude={"active"})
        if self.active is not None:
            known["state"] = "active" if self.active else "finished"
        return CallQuery.model_validate(known)


class CallsBody(Body):
    """A list of calls, newest first."""

    calls: tuple[CallSummary, ...]
    next: str | None = Field(
        default=None, description="`cursor` of the next page; null: this was the last"
    )


class RecordingBody(Body):
    """Whether what is said is left out of the record."""

    paused: bool


class PartyBody(Body):
    """The number or address whose calls are meant."""

    party: str = Field(
        min_length=1, max_length=256, description="`caller` or `called`, as calls show it",
        examples=["+4930123456"],
    )  # fmt: skip


class DeletedBody(Body):
    """What was deleted."""

    deleted: int


class TrunksBody(Body):
    """All trunks."""

    trunks: tuple[TrunkStatus, ...]


class WebhooksBody(Body):
    """All receivers of webhooks."""

    webhooks: tuple[WebhookStatus, ...]


class Readiness(Body):
    """Whether calls are accepted."""

    ready: bool
    reason: str = ""
    """Why not."""
    slots: int = 0
    slots_used: int = 0


class DrainBody(Body):
    """It takes no more calls."""

    calls: int
    """In progress; it ends with the last of them, or at `workers.drain_limit_s`."""


class ReloadBody(Body):
    """New calls are served by the files on disk."""

    changed: tuple[str, ...]
    """Dotted keys and names of files that are different now."""


class ReplaceBody(Body):
    """New calls are served by new workers."""

    workers: int


class HealthBody(Body):
    """The supervisor answers."""

    status: Literal["ok"] = "ok"


class GatewayPort(Protocol):
    """The gateway as the HTTP API sees it.  Any method may raise GatewayError."""

    async def readiness(self) -> Readiness:
        """Return whether calls are accepted, and if not, why."""

    async def list_calls(self, query: CallQuery) -> Sequence[CallSummary]:
        """List calls of every gateway that shares the database, newest first."""

    async def get_call(self, call_id: str) -> CallRecord:
        """Return one call, in progress or finished.  Raises CallNotFound."""

    async def place_call(
        self,
        to: str,
        agent: str,
        trunk: str,
        variables: Mapping[str, str] = NO_VARIABLES,
        caller_id: str = "",
    ) -> str:
        """Send the INVITE, give the call id.  Raises OutgoingRefused, NoCallSlot, CommandError."""

    async def hang_up(self, call_id: str) -> None:
        """End a call.  Raises CallNotFound."""

    async def transfer(self, call_id: str, target: str) -> None:
        """Transfer, to the final NOTIFY.  Raises CallNotFound, TransferFailed, OutgoingRefused."""

    async def say(self, call_id: str, text: str) -> None:
        """Queue a text to be spoken.  Raises CallNotFound."""

    async def send_digits(self, call_id: str, digits: str) -> None:
        """Send DTMF.  Raises CallNotFound."""

    async def set_eagerness(self, call_id: str, eagerness: Eagerness) -> None:
        """Answer sooner or later from now on.  Raises CallNotFound."""

    async def change_agent(self, call_id: str, agent: str, *, cut: bool) -> None:
        """Let another agent lead a call.  Raises CallNotFound, CommandError."""

    async def change_settings(self, call_id: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Have a call go by other settings; return the keys of those that changed.

        Raises CallNotFound, CommandError.
        """

    async def change_language(self, call_id: str, language: str, *, cut: bool) -> None:
        """Go on in another language.  Raises CallNotFound, CommandError."""

    async def trunks(self) -> Sequence[TrunkStatus]:
        """Return the state of every trunk."""

    def webhooks(self) -> Sequence[WebhookStatus]:
        """Return how every receiver of webhooks is doing."""

    async def metrics_text(self) -> str:
        """Return the merged Prometheus text of all processes."""

    async def audio(self, call_id: str) -> Path | StoredAudio:
        """Return `audio.wav` of a finished call.  Raises CallNotFound."""

    async def pause_recording(self, call_id: str, *, paused: bool) -> None:
        """Leave out of the record what is said, or record again.  Raises CallNotFound."""

    async def delete_call(self, call_id: str) -> None:
        """Delete a finished call everywhere.  Raises CallNotFound, CommandError."""

    async def delete_party(self, party: str) -> int:
        """Delete all calls from or to a number; return how many.  Raises CommandError."""

    async def drain(self) -> DrainBody:
        """Take no more calls and end with the last one.  Idempotent."""

    async def reload(self) -> ReloadBody:
        """Serve new calls by the files now on disk.  Raises ConfigError, CommandError."""

    async def replace(self) -> ReplaceBody:
        """Replace every worker by the program now on disk.  Raises CommandError."""
