"""What may reach which layer of the library: every message is looked at before it is acted on.

The library was written for well-meaning peers; where it asserts, the process ends.  So requests are
screened before its transactions see them, judged before its dialogs do, and answers are screened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.allowance import Allowance
from gateway.sip.admission import AdmissionPolicy, Admit, Decision, Ignore, Refuse, unfit
from gateway.sip.message import SipRequest, parse_answer, parse_request
from gateway.sip.offer import audio_lines, descriptions, structure_fault
from gateway.telemetry.process import has_free_files

_NEW_STREAMS_PER_S = 16
"""The library keeps the two RTP handles of an ended stream for half a second, and aborts the
process when more than 64 are in use."""
_OFFERS_PER_S = 3
"""Within calls, of up to two streams each; for the same reason."""
_FILES_PER_CALL = 16
"""RTP and RTCP, sound, events and record, connections of its engines; and some to spare."""
_NOTHING = SipRequest("", "")


class Gate:
    """Judges messages; keeps count of what the library must not get too much of."""

    def __init__(
        self, policy: AdmissionPolicy, retry_after_s: int, now_s: Callable[[], float]
    ) -> None:
        """Take who may call, what a 503 tells callers, and a monotonic clock."""
        self._policy = policy
        self._retry = (("Retry-After", str(retry_after_s)),)
        self._now_s = now_s
        self._streams_s: deque[float] = deque(maxlen=_NEW_STREAMS_PER_S)
        self._offers = Allowance(_OFFERS_PER_S, 1.0)
        self._screened = (b"", _NOTHING)

    def screen(self, message: bytes, source: str) -> tuple[Decision, SipRequest]:
        """Look at a request from an IP address before the library's transactions do.

        Returns:
            The decision, and the request as far as it was read.
        """
        flood = self._policy.flooded(source, self._now_s())
        if flood is not None:
            return flood, _NOTHING
        try:
            request = parse_request(message.decode("utf-8", "replace"))
        except ValueError:
            return Ignore(), _NOTHING
        self._screened = (message, request)
        return unfit(request) or Admit(), request

    def judge(self, message: bytes, source: str) -> tuple[Decision, SipRequest]:
        """Look at a screened request before the library makes or finds a dialog for it."""
        known, request = self._screened
        if known != message:
            request = parse_request(message.decode("utf-8", "replace"))
        decision = self._policy.decide(request, source, datetime.now(UTC).timestamp())
        if isinstance(decision, Admit):
            decision = self._too_much(request) or decision
        return decision, request

    def may_pass(self, answer: bytes) -> bool:
        """Say whether the library may see an answer: what it describes must do no harm."""
        try:
            found = descriptions(parse_answer(answer.decode("utf-8", "replace")))
        except ValueError:
            return False
        return not any(map(structure_fault, found))

    def _too_much(self, request: SipRequest) -> Refuse | None:
        if request.is_initial and request.method == "INVITE":
            return self._out_of_files() or self._too_fast(request)
        return self._too_many_offers(request)

    def _too_fast(self, request: SipRequest) -> Refuse | None:
        """Refuse what is more than the library can clear away."""
        now_s, times = self._now_s(), self._streams_s
        streams = max(1, sum(map(audio_lines, descriptions(request))))
        room = _NEW_STREAMS_PER_S - streams
        if len(times) > room and now_s - times[-1 - room] < 1.0:
            return Refuse("sip.call_rate", 503, "Too many calls per second", self._retry)
        times.extend([now_s] * streams)
        return None

    def _too_many_offers(self, request: SipRequest) -> Refuse | None:
        """The same for offers within calls: a stream that comes and goes takes new handles."""
        if request.method.upper() == "ACK" or not descriptions(request):
            return None
        if self._offers.spend(self._now_s()):
            return None
        return Refuse("sip.offer_rate", 491, "Too many offers per second")

    def _out_of_files(self) -> Refuse | None:
        """Refuse a call that could not have its sockets, rather than fail the ones there are."""
        if has_free_files(_FILES_PER_CALL):
            return None
        return Refuse("file_descriptors", 503, "No file descriptors left", self._retry)
