"""CallSession: one call from admission to its complete record; owns every task below it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import structlog

from gateway.audio.echo_control import EchoControl
from gateway.config.models import SipConfig
from gateway.conversation.ear import Ear, VoiceDetector
from gateway.conversation.line import Answered, HungUp
from gateway.conversation.live_call import LiveCall
from gateway.dialplan.router import Route
from gateway.dialplan.runner import CallResult, Runner
from gateway.errors import SipError, leaves
from gateway.records.bundle import CallBundle
from gateway.records.model import CallRecord, EchoRecord, EndReason, RtpStatistics
from gateway.sip.call import SipLine
from gateway.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

RunnerMaker = Callable[[LiveCall], Runner]
_WATCH_S = 1.0
_BUSY = frozenset({486, 600, 603})
_NO_ANSWER = frozenset({408, 480, 487})


@dataclass(frozen=True, slots=True)
class End:
    """Why a call ended."""

    reason: EndReason
    text: str = ""
    status: int = 0
    """SIP status for a call that is to be refused; 0 = a BYE."""


class _LineClosed(Exception):  # noqa: N818 (a signal inside this file)
    """The line says that the call is over."""


class _Overdue(Exception):  # noqa: N818 (a signal inside this file)
    """A limit was reached."""

    def __init__(self, end: End) -> None:
        self.end = end
        super().__init__(end.text)


class CallSession:
    """Runs one call.  However that ends, the line is closed and the record complete."""

    def __init__(
        self,
        line: SipLine,
        bundle: CallBundle,
        record: CallRecord,
        detector: VoiceDetector,
        metrics: Metrics,
        limits: SipConfig,
        echo: EchoControl | None = None,
    ) -> None:
        self._line = line
        self._bundle = bundle
        self._record = record
        self._metrics = metrics
        self._limits = limits
        self._echo = echo
        self._ear = Ear(
            line.inlet, detector, bundle.write_audio, metrics.outbound_frame_gap.observe, echo
        )
        settings = echo and {"tail_ms": echo.tail_ms, "max_delay_ms": echo.max_delay_ms}
        bundle.event("listening", 0.0, echo=settings)
        self._began_s = asyncio.get_running_loop().time()
        self._answered_s = self._began_s
        self._live: LiveCall | None = None
        self.wanted_end: End | None = None
        """Why this call is about to be ended from outside."""

    @property
    def live(self) -> LiveCall | None:
        """The call's parts while it runs."""
        return self._live

    @property
    def line(self) -> SipLine:
        """The call's leg."""
        return self._line

    @property
    def record(self) -> CallRecord:
        """The record as it stands."""
        turns = tuple(self._live.turns) if self._live else ()
        agent = self._live.agent_name if self._live else ""
        known: dict[str, object] = {"turns": turns, "agent": agent}
        if self._live is not None:
            known["speculation"] = self._live.speculation
        return self._record.model_copy(update=known)

    async def hang_up(self, end: End) -> None:
        """End the call from outside."""
        self.wanted_end = end
        is_up = self._record.answered_at is not None
        await self._line.hang_up(0 if is_up else end.status, end.text)

    async def run(self, make_runner: RunnerMaker, route: Route) -> CallRecord:
        """Run the call to its end and give its finished record."""
        end = End("shutdown", "the gateway is shutting down", 503)
        rule = f"{route.context}/{route.extension}" if route.extension else "default agent"
        self._record = self._record.model_copy(update={"route": rule})
        try:
            end = await self._talk(make_runner, route)
        except Exception as error:
            log.exception("call_crashed")
            end = End("crashed", f"{type(error).__name__}: {error}", 500)
        finally:
            record = await self._finish(self.wanted_end or end)
        return record

    async def _talk(self, make_runner: RunnerMaker, route: Route) -> End:
        outgoing = self._line.facts.direction == "out"
        try:
            async with asyncio.TaskGroup() as group:
                self._live = LiveCall(self._line, self._ear, self._bundle, self._metrics, group)
                tasks = [
                    group.create_task(self._ear.run()),
                    group.create_task(self._follow_line(self._live)),
                    group.create_task(self._watch()),
                ]
                if outgoing:
                    await self._line.wait_answered(self._limits.ring_timeout_s)
                result = await make_runner(self._live).run(route, is_answered=outgoing)
                for task in tasks:
                    task.cancel()
            return _end_of(result)
        except BaseExceptionGroup as errors:
            return self._end_by(errors)

    async def _follow_line(self, live: LiveCall) -> None:
        async for event in self._line.events():
            if isinstance(event, HungUp):
                raise _LineClosed
            if isinstance(event, Answered):
                self._on_answered(live)
            else:
                live.inbox.put_nowait(event)

    def _on_answered(self, live: LiveCall) -> None:
        codec = self._line.poll_statistics().codec
        self._answered_s = asyncio.get_running_loop().time()
        update = {"answered_at": datetime.now(UTC), "codec": codec}
        self._record = self._record.model_copy(update=update)
        self._bundle.update(self.record)
        live.note("answered", codec=codec)

    async def _watch(self) -> None:
        """End calls that nobody is on any more (RTP stopped, hold or call too long)."""
        limits = self._limits
        packets, quiet_s, held_s, age_s = -1, 0.0, 0.0, 0.0
        while True:
            await asyncio.sleep(_WATCH_S)
            if self._record.answered_at is None:
                continue
            age_s += _WATCH_S
            received = self._line.poll_statistics().received_packets
            alive = received != packets
            packets = received
            held_s = held_s + _WATCH_S if self._line.on_hold else 0.0
            quiet_s = 0.0 if alive or self._line.on_hold else quiet_s + _WATCH_S
            if quiet_s >= limits.no_media_timeout_s:
                raise _Overdue(End("no_media", f"no RTP for {limits.no_media_timeout_s:g} s"))
            if held_s >= limits.max_hold_s:
                raise _Overdue(End("max_hold", f"on hold for {limits.max_hold_s:g} s"))
            if age_s >= limits.max_call_s:
                raise _Overdue(End("max_duration", f"longer than {limits.max_call_s:g} s"))

    def _end_by(self, errors: BaseExceptionGroup[BaseException]) -> End:
        found = leaves(errors)
        for leaf in found:
            if isinstance(leaf, _Overdue):
                return leaf.end
        strange = [e for e in found if not isinstance(e, _LineClosed | SipError)]
        if strange:
            raise strange[0]
        ended = self._line.ended
        if ended is None:
            failure = next(e for e in found if isinstance(e, SipError))
            return End("failed", str(failure), failure.status)
        return end_of_line(
            ended,
            is_outgoing=self._line.facts.direction == "out",
            was_answered=self._record.answered_at is not None,
            is_transferred=self._line.is_transferred,
        )

    async def _finish(self, end: End) -> CallRecord:
        """Close the line, write the record."""
        was_refused = self._record.answered_at is None and end.status >= 300
        try:
            async with asyncio.timeout(10):
                await self._line.hang_up(end.status if was_refused else 0, end.text)
        except TimeoutError:
            log.error("line_not_closed", reason=end.reason)  # noqa: TRY400 (nothing to trace)
        self._ear.settle()
        status = self._final_status(end)
        rtp = asdict(self._line.statistics)
        codec = rtp.pop("codec")
        self._metrics.inlet_dropped_frames.inc(self._line.inlet.dropped_frames)
        self._bundle.event("call_ended", self._ear.now_s, reason=end.reason, text=end.text)
        update = {
            "rtp": RtpStatistics.model_validate(rtp),
            "codec": codec or self._record.codec,
            "echo": self._close_echo(),
        }
        record = self.record.model_copy(update=update)
        ended = record.ended(datetime.now(UTC), end.reason, end.text, status)
        return self._bundle.finish(ended.model_copy(update=self._lengths()))

    def _lengths(self) -> dict[str, float]:
        """How long it was; the wall clock may have been set meanwhile."""
        now_s = asyncio.get_running_loop().time()
        lengths = {"duration_s": round(now_s - self._began_s, 3)}
        if self._record.answered_at is not None:
            lengths["talk_s"] = round(now_s - self._answered_s, 3)
        return lengths

    def _close_echo(self) -> EchoRecord | None:
        """Free the canceller and say what it found."""
        if self._echo is None:
            return None
        self._echo.close()
        figures = self._echo.figures()
        return EchoRecord.model_validate(asdict(figures)) if figures else None

    def _final_status(self, end: End) -> int:
        """What the INVITE was answered with at last; 200 for a call that was up."""
        if self._record.answered_at is not None:
            return 200
        return end.status or (self._line.ended.status if self._line.ended else 0) or 603


def _end_of(result: CallResult) -> End:
    return End(result.ending.reason, result.ending.text, result.status)


def end_of_line(
    ended: HungUp, *, is_outgoing: bool, was_answered: bool, is_transferred: bool
) -> End:
    """Say why a call ended that the line ended.  Pure."""
    text = f"{ended.status} {ended.reason}"
    if is_transferred:
        return End("transferred", text, ended.status)
    if was_answered:
        # Other than a BYE: no session refresh came (RFC 4028), or the peer forgot the dialog.
        return End("caller_hung_up" if ended.status < 300 else "failed", text, ended.status)
    if not is_outgoing:
        return End("cancelled", text, ended.status)
    if ended.status in _BUSY:
        return End("busy", text, ended.status)
    return End("no_answer" if ended.status in _NO_ANSWER else "failed", text, ended.status)
