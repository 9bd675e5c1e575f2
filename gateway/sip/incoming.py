"""Requests of others: judged one by one, answered where the library's answer would be wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol, TypeVar

import structlog

from gateway.call.line import CallFacts
from gateway.sip.admitted import AdmittedRequest, AdmittedRequests
from gateway.sip.call import SipLine
from gateway.sip.decision import Admit, Answer, Decision, Ignore, Refuse
from gateway.sip.in_dialog import answer_within, is_too_late
from gateway.sip.message import SipRequest
from gateway.sip.origins import Origins
from gateway.sip.received import Received
from gateway.sip.request_screen import RequestScreen

log = structlog.get_logger(__name__)


class RequestSink(Protocol):
    """Receives reports about requests that were turned away."""

    def on_refused(self, facts: CallFacts, refusal: Refuse) -> None:
        """A call was refused before it got a slot."""

    def on_turned_away(self, rule: str, method: str, source: str) -> None:
        """Another request was refused, or any was dropped unread (`method` is empty then)."""

    def new_call_id(self) -> str:
        """Make an id for a call."""


class Calls(Protocol):
    """The calls that requests may belong to."""

    def line_of(self, received: Received) -> SipLine | None:
        """Find the call whose dialog a request belongs to."""

    def is_over(self, received: Received) -> bool:
        """The dialog of a request is still there, but its call is over, or we are ending it."""

    def make_room(self) -> None:
        """Delete the library's objects of calls that are over."""

    def draw_ports(self) -> None:
        """Choose where the library looks for RTP ports next."""


class Party(Protocol):
    """A call, as far as requests are told apart; see `SipLine`."""

    facts: CallFacts
    their_tag: str


_Call = TypeVar("_Call", bound=Party)


def addressed(calls: Iterable[_Call], received: Received) -> _Call | None:
    """Find the call that a request is for.

    Two have one Call-ID where a call of ours comes back to us: then the tag tells.
    """
    alike = [call for call in calls if call.facts.sip_call_id == received.call_id]
    theirs = (call for call in alike if call.their_tag == received.from_tag)
    placed = (call for call in alike if not call.their_tag)
    return next(theirs, None) or next(placed, None)


class IncomingRequests:
    """Decides about every request and remembers the admitted call.  Loop thread only."""

    def __init__(
        self, request_screen: RequestScreen, origins: Origins, calls: Calls, sink: RequestSink
    ) -> None:
        """Create it.

        Args:
            request_screen: judges each message.
            origins: resolve where a request comes from.
            calls: that requests may belong to.
            sink: is notified of what was turned away.
        """
        self.request_screen = request_screen
        self.admitted = AdmittedRequests()
        self._origins = origins
        self._calls = calls
        self._sink = sink
        self._refused: deque[tuple[CallFacts, Refuse]] = deque()

    def screen(self, received: Received) -> Decision:
        """Look at a request before the library's transactions do."""
        self.admitted.forget()
        decision, request = self.request_screen.screen(received)
        self._tell(decision, request, received)
        return decision

    def judge(self, received: Received) -> Decision:
        """Look at one that is no repetition, before the library's dialogs do."""
        self._calls.make_room()
        decision, request = self.request_screen.judge(received)
        if isinstance(decision, Admit) and not request.is_initial and request.method != "BYE":
            decision = self._within(received, request) or decision
        self._tell(decision, request, received)
        if isinstance(decision, Admit):
            self._calls.draw_ports()  # an offer in any of them may need some
            if request.is_initial:
                self.admitted.add(AdmittedRequest(received, request, decision))
        return decision

    def judge_outside(self, received: Received) -> Decision:
        """Let nothing act that no dialog has taken and that was not let in as just this request."""
        if self.admitted.confirm(received):
            return Admit()
        refusal = Refuse("sip.dialog", 481, "Call/Transaction Does Not Exist")
        if received.is_new_call:
            refusal = Refuse("sip.not_admitted", 403, "Forbidden")
            log.error("call_without_admission", source=received.source)
        self._sink.on_turned_away(refusal.rule, received.method, received.source)
        return refusal

    def tell_refused(self) -> None:
        """Report refused calls; not within a callback of the library."""
        while self._refused:
            self._sink.on_refused(*self._refused.popleft())

    def _within(self, received: Received, request: SipRequest) -> Answer | Refuse | None:
        """Answer a request within a call where the library's answer would be wrong.

        What belongs to no call is the library's to answer, and takes nothing from those there are.
        """
        if is_too_late(request) and self._calls.is_over(received):
            return Answer(481, "Call/Transaction Does Not Exist")
        line = self._calls.line_of(received)
        if line is None:
            return None
        line.on_request()
        if refusal := self.request_screen.too_many_offers(request, line.offers):
            return refusal
        if received.method == "INFO":
            return line.keys.on_info(request, received.cseq) if line.is_confirmed else None
        return answer_within(request, has_referred=line.transfers.has_referred)

    def _tell(self, decision: Decision, request: SipRequest, received: Received) -> None:
        """Report a request that was turned away."""
        source = received.source
        if isinstance(decision, Admit):
            return
        if isinstance(decision, Ignore):
            self._sink.on_turned_away(decision.rule or "sip.syntax", request.method, source)
        elif isinstance(decision, Refuse) and not decision.is_challenge:
            origin = self._origins.of(request, source, received.port)
            if received.is_new_call:
                facts = self._origins.facts(self._sink.new_call_id(), request, origin)
                self._refused.append((facts, decision))
            else:
                self._sink.on_turned_away(decision.rule, request.method, origin.address)
