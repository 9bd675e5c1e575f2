"""What may reach which layer of the library: every message is looked at before it is acted on.

The library was written for well-meaning peers; where it asserts, the process ends.  So requests are
screened before its transactions see them, judged before its dialogs do, and answers are screened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum

from gateway.sip.admission import AdmissionPolicy
from gateway.sip.decision import Admit, Decision, Ignore, Refuse
from gateway.sip.fitness import unfit
from gateway.sip.message import SipRequest, ambiguity, parse_answer
from gateway.sip.offer import audio_lines, descriptions, structure_fault, too_many_parts
from gateway.sip.oversize import MAX_BYTES
from gateway.sip.received import Received, as_request
from gateway.telemetry.process import has_free_files

_NEW_STREAMS_PER_S = 16
"""The library keeps the two RTP handles of an ended stream for half a second, and aborts the
process when more than 64 are in use."""
_UNTRUSTED_STREAMS_PER_S = 8
"""Of these; a flood of unknown callers leaves the rest to the known ones."""
OFFERS_PER_S = 3
"""Within one call; each may begin a stream and end another, which takes handles, too."""
_ALL_OFFERS_PER_S = 8
"""Of all calls; together with new streams and those of four calls, 58 handles."""
_FILES_PER_CALL = 16
"""RTP and RTCP, sound, events and record, connections of its engines; and some to spare."""
_NOTHING = SipRequest("", "")


class Passage(Enum):
    """What the library sees of an answer."""

    WHOLE = "whole"
    WITHOUT_BODY = "without body"
    """It ends the call that was answered so."""
    NOTHING = "nothing"


class StreamRate:
    """Counts the streams that began within the last second."""

    def __init__(self, per_s: int) -> None:
        self._began_s: deque[float] = deque(maxlen=per_s)
        self._per_s = per_s

    def has_room(self, streams: int, now_s: float) -> bool:
        """Return whether that many more may begin."""
        room = self._per_s - streams
        began_s = self._began_s
        return len(began_s) <= room or now_s - began_s[-1 - room] >= 1.0

    def add(self, streams: int, now_s: float) -> None:
        """Count that many more."""
        self._began_s.extend([now_s] * streams)


class RequestScreen:
    """Judges messages and limits the rate of what the library cannot take fast."""

    def __init__(
        self,
        policy: AdmissionPolicy,
        retry_after_s: int,
        now_s: Callable[[], float],
        is_within: Callable[[Received], bool] = lambda _received: False,
    ) -> None:
        """Create it.

        Args:
            policy: decides which sources may call.
            retry_after_s: what a 503 tells callers.
            now_s: a monotonic clock.
            is_within: whether a request belongs to a call, by its Call-ID and both tags.
        """
        self._policy = policy
        self._is_within = is_within
        self._retry = (("Retry-After", str(retry_after_s)),)
        self._now_s = now_s
        self._streams = StreamRate(_NEW_STREAMS_PER_S)
        self._untrusted_streams = StreamRate(_UNTRUSTED_STREAMS_PER_S)
        self._offers = StreamRate(_ALL_OFFERS_PER_S)
        self._screened: tuple[Received | None, SipRequest] = (None, _NOTHING)

    def screen(self, received: Received) -> tuple[Decision, SipRequest]:
        """Look at a request before the library's transactions do.

        Returns:
            The decision, and the request as far as it was read.
        """
        dialog = received.call_id if self._is_within(received) else ""
        flood = self._policy.flooded(received.source, self._now_s(), dialog)
        if flood is not None:
            return flood, _NOTHING
        try:
            request, difference = as_request(received)
        except ValueError:
            return Ignore(), _NOTHING
        if len(received.data) >= MAX_BYTES and not (_is_whole(request) or _is_cut_head(received)):
            return _too_large(received), request
        self._screened = (received, request)
        return unfit(request, difference) or Admit(), request

    def judge(self, received: Received) -> tuple[Decision, SipRequest]:
        """Look at a screened request before the library makes or finds a dialog for it."""
        screened, request = self._screened
        if screened is None or not _is_same(screened, received):
            return Ignore(), _NOTHING  # cannot be: each is screened right before it is judged
        wall_s = datetime.now(UTC).timestamp()
        decision = self._policy.decide(request, received.source, received.port, wall_s)
        if isinstance(decision, Admit):
            decision = self._too_much(request, decision) or decision
        return decision, request

    def too_many_offers(self, request: SipRequest, of_call: StreamRate) -> Refuse | None:
        """Count an offer within a call of ours: a stream that comes and goes takes new handles.

        Args:
            request: that belongs to the dialog of a call.
            of_call: what that call has offered so far.
        """
        if request.method.upper() == "ACK" or not descriptions(request):
            return None
        now_s, rates = self._now_s(), (of_call, self._offers)
        if not all(rate.has_room(1, now_s) for rate in rates):
            return Refuse("sip.offer_rate", 491, "Too many offers per second")
        for rate in rates:
            rate.add(1, now_s)
        return None

    def knows(self, source: str) -> bool:
        """Return whether an address is trusted; others do not learn the rule that refuses them."""
        return self._policy.is_trusted(source)

    def passage(self, answer: bytes) -> Passage:
        """Return what of an answer the library may see: what it describes must do no harm."""
        if len(answer) >= MAX_BYTES:
            return Passage.NOTHING
        try:
            parsed = parse_answer(answer.decode("utf-8", "replace"))
        except ValueError:
            return Passage.NOTHING
        is_unclear = bool(ambiguity(parsed))  # of two Content-Types the library takes the last
        is_bad = too_many_parts(parsed) or any(map(structure_fault, descriptions(parsed)))
        return Passage.WITHOUT_BODY if is_bad or is_unclear else Passage.WHOLE

    def _too_much(self, request: SipRequest, admitted: Admit) -> Refuse | None:
        if request.is_initial and request.method == "INVITE":
            return self._out_of_files() or self._too_fast(request, admitted)
        return None

    def _too_fast(self, request: SipRequest, admitted: Admit) -> Refuse | None:
        """Refuse calls that come faster than the library frees its handles."""
        now_s = self._now_s()
        streams = max(1, sum(map(audio_lines, descriptions(request))))
        rates = [self._streams, self._untrusted_streams][: 1 + admitted.is_untrusted]
        if not all(rate.has_room(streams, now_s) for rate in rates):
            return Refuse("sip.call_rate", 503, "Too many calls per second", self._retry)
        for rate in rates:
            rate.add(streams, now_s)
        return None

    def _out_of_files(self) -> Refuse | None:
        """Refuse a call that could not get its sockets, rather than fail running calls."""
        if has_free_files(_FILES_PER_CALL):
            return None
        return Refuse("file_descriptors", 503, "No file descriptors left", self._retry)


def _is_same(screened: Received, received: Received) -> bool:
    """Return whether it is the request that was screened, perhaps without its body."""
    like = replace(received, body=screened.body, content_type=screened.content_type)
    return like == screened and received.body in {screened.body, b""}


def _is_cut_head(received: Received) -> bool:
    """Return whether it is a new call whose headers were cut off.

    It looks like one without an offer, is answered with ours, and ends at once where the ACK
    brings no description.
    """
    return received.is_new_call and b"\r\n\r\n" not in received.data


def _is_whole(request: SipRequest) -> bool:
    """Return whether what fills the library's buffer by chance ends there."""
    length = request.header("content-length")
    return length.isdecimal() and int(length[:9]) == len(request.body.encode())


def _too_large(received: Received) -> Refuse | Ignore:
    """Refuse or ignore a message that was cut off at the size of the library's buffer."""
    if received.method == "ACK":
        return Ignore("sip.size")
    return Refuse("sip.size", 513, "Message Too Large")  # RFC 3261 section 21.5.7
