"""The whole exception tree.

GatewayError
  ConfigError(problems)                       exit code 78, all problems at once
  SipError(status, reason)                    pj.Error is translated in sip/, nowhere else
    RegistrationFailed  CallRejected  CallNotFound  NoCallSlot  TransferFailed  OutgoingRefused
  MediaError   NoMedia  UnsupportedFormat
  ProviderError(provider, problem)            vendor exceptions are translated by the provider
    ProviderUnavailable  RateLimited  ProviderTimeout  ProviderProtocolError
    ProviderRejected  ContextExceeded  QuotaExceeded
  BadReference(reference, problem)            a function of the user's that cannot be loaded
  ToolError(tool)                             told to the model, never to the caller
  CommandError(status, reason)                the gateway cannot do what it was told; HTTP status
    DatabaseTrouble  StoreTrouble             503; calls go on without them
    DiskTrouble                               503; a bundle cannot be deleted
  EdgeError(problem)                          Kamailio is missing, does not start or answer
  TurnStateError                              our bug, never caught
"""

from __future__ import annotations

from dataclasses import dataclass


class GatewayError(Exception):
    """Anything this product raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in a configuration file."""

    path: str
    """File, as the user named it."""
    line: int
    """1-based; 0 when the whole file is meant."""
    key: str
    """Dotted key, empty for a syntax error."""
    text: str
    """What is wrong and the likely fix."""

    def __str__(self) -> str:
        """Format as `file:line: key: text`, which editors can follow."""
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.key}: {self.text}" if self.key else f"{where}: {self.text}"


class ConfigError(GatewayError):
    """One or more faults in the configuration; `str()` is one line each."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class SipError(GatewayError):
    """A SIP request failed or must be refused."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{status} {reason}")


class RegistrationFailed(SipError):
    """A trunk did not accept our REGISTER."""


class CallRejected(SipError):
    """The other side refused an outgoing call, or we refuse an incoming one."""


class CallNotFound(SipError):
    """No such call (any more)."""


class NoCallSlot(SipError):
    """All call slots of this worker are taken."""


class TransferFailed(SipError):
    """The REFER was refused, or its NOTIFY reported a failure."""


class OutgoingRefused(SipError):
    """`[outgoing]` does not let this call or transfer go out; 403 never, 429 not now."""


class EdgeError(GatewayError):
    """Kamailio in front of the workers is missing, refuses its files, or does not answer."""


class MediaError(GatewayError):
    """Something about audio."""


class NoMedia(MediaError):
    """The other side sent no RTP for longer than allowed."""


class UnsupportedFormat(MediaError):
    """An audio format that this stage cannot take."""


class ProviderError(GatewayError):
    """An engine (recognizer, language model, synthesizer) failed."""

    retryable = False
    retry_after_s = 0.0
    """How long the vendor wants to be left alone, where it says so."""

    def __init__(self, provider: str, problem: str) -> None:
        self.provider = provider
        self.problem = problem
        super().__init__(f"{provider}: {problem}")

    @property
    def kind(self) -> str:
        """Snake-case word for logs and metric labels."""
        return {
            ProviderUnavailable: "unavailable",
            RateLimited: "rate_limited",
            QuotaExceeded: "quota_exceeded",
            ProviderTimeout: "timeout",
            ProviderRejected: "rejected",
            ContextExceeded: "rejected",
            ProviderProtocolError: "protocol",
        }.get(type(self), "error")


class ProviderUnavailable(ProviderError):
    """Not reachable, overloaded (429, 5xx), or gone in mid-answer: worth another try."""

    retryable = True


class RateLimited(ProviderUnavailable):
    """It has too many requests or sessions of this account: worth another try, but later."""


class ProviderTimeout(ProviderError):
    """It did not answer in time: worth another try."""

    retryable = True


class ProviderRejected(ProviderError):
    """It understood and refused (bad key, bad model, bad request): trying again is useless."""


class ContextExceeded(ProviderRejected):
    """The conversation is too long for the model: asking with less of it may help."""


class QuotaExceeded(ProviderRejected):
    """The account has used up what it may use or has paid for: trying again is useless."""


class ProviderProtocolError(ProviderError):
    """It answered something that its protocol does not allow."""


class ToolError(GatewayError):
    """A function tool could not do its work; the text goes to the model."""

    def __init__(self, tool: str, problem: str) -> None:
        self.tool = tool
        self.problem = problem
        super().__init__(f"{tool}: {problem}")


class BadReference(GatewayError):
    """A function that the configuration names cannot be loaded."""

    def __init__(self, reference: str, problem: str) -> None:
        self.reference = reference
        self.problem = problem
        super().__init__(f"{reference}: {problem}")


class CommandError(GatewayError):
    """A command (HTTP API, control socket) cannot be done; `status` has the meaning of HTTP."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{status} {reason}")


class DatabaseTrouble(CommandError):
    """The call database cannot be used now."""

    def __init__(self, problem: str, *, is_outage: bool) -> None:
        self.is_outage = is_outage
        """False when it refused what it was given, and would again."""
        super().__init__(503, f"the call database cannot be used: {problem}")


class StoreTrouble(CommandError):
    """The object store cannot be used now."""

    def __init__(self, problem: str) -> None:
        super().__init__(503, f"the object store cannot be used: {problem}")


class DiskTrouble(CommandError):
    """A bundle cannot be deleted from this machine's disk."""

    def __init__(self, call_id: str, error: OSError) -> None:
        told = f"{error.filename or 'the bundle'}: {error.strerror or error}"
        super().__init__(503, f"call {call_id} cannot be deleted from this disk: {told}")


class TurnStateError(GatewayError):
    """A step that the state of the dialogue does not allow: our bug."""


def leaves(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Every single error in a tree of groups, in order."""
    found: list[BaseException] = []
    for error in errors.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
