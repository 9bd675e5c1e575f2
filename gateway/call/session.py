"""CallSession: one call from admission to its complete record; owns every task below it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime

import structlog

from gateway.audio import tones
from gateway.audio.echo_control import EchoControl
from gateway.call import events
from gateway.call.call_audio import CallAudio
from gateway.call.line import (
    Answered,
    Digit,
    End,
    HungUp,
    Line,
    MediaSource,
    TransferOutcome,
)
from gateway.call.live_call import LiveCall
from gateway.config.models import SipConfig
from gateway.errors import SipError, leaves
from gateway.records.bundle import CallBundle
from gateway.records.model import CallRecord, EchoRecord, RtpStatistics, SpentRecord
from gateway.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

Flow = Callable[[LiveCall], Awaitable[End]]
"""What happens in a call from its beginning to its end, unless the line ends first."""
_WATCH_S = 1.0
_BUSY = frozenset({486, 600, 603})
_NO_ANSWER = frozenset({408, 480, 487})


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
        line: Line,
        bundle: CallBundle,
        record: CallRecord,
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
        self._audio = CallAudio(
            line.inlet, bundle.write_audio, metrics.outbound_frame_gap.observe, echo
        )
        settings = {"tail_ms": echo.tail_ms, "max_delay_ms": echo.max_delay_ms} if echo else None
        bundle.note(events.Listening(settings), 0.0)
        self._began_s = asyncio.get_running_loop().time()
        self._answered_s = self._began_s
        self._over: tuple[datetime, float] | None = None
        """When the line was over, by both clocks."""
        self._ended: CallRecord | None = None
        """The record once the line is closed."""
        self._live: LiveCall | None = None
        self._tones: tones.ToneDetector | None = None
        self._on_ringing: Callable[[LiveCall], None] = lambda _: None
        self.wanted_end: End | None = None
        """Why this call is about to be ended from outside."""

    @property
    def live(self) -> LiveCall | None:
        """The call's parts while it runs."""
        return self._live

    @property
    def line(self) -> Line:
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
            known["engines"] = tuple(self._live.engines.values())
            known["voice_profile"] = self._live.voice.record()
            known["usage"] = tuple(self._live.usage.values())
            known["routes"] = tuple(self._live.routes.values())
            known["variant"] = self._live.variant
            spent = self._live.spent
            known["spent"] = SpentRecord(
                requests=spent.requests, tokens=spent.tokens, cost=round(spent.cost, 6)
            )
        return self._record.model_copy(update=known)

    async def hang_up(self, end: End) -> None:
        """End the call from outside."""
        self.wanted_end = end
        await self._line.hang_up(end)

    async def run(
        self,
        flow: Flow,
        rule: str,
        on_closed: Callable[[], None] = lambda: None,
        on_ringing: Callable[[LiveCall], None] = lambda _: None,
    ) -> CallRecord:
        """Run the call to its end and return its finished record.

        Args:
            flow: what happens in it.
            rule: name of the dialplan's rule that took it.
            on_closed: called when the line is over.  Tools that have begun may run on until their
                own limits; the record waits for them, with the times of the line.
            on_ringing: called before a placed call is answered.
        """
        self._record = self._record.model_copy(update={"route": rule})
        self._on_ringing = on_ringing
        try:
            async with asyncio.TaskGroup() as tools:
                await self._run_line(flow, tools)
                on_closed()
        finally:
            record = self._complete()
        return record

    async def _run_line(self, flow: Flow, tools: asyncio.TaskGroup) -> None:
        end = End("shutdown", "the gateway is shutting down")
        try:
            end = await self._talk(flow, tools)
        except Exception as error:
            log.exception("call_crashed")
            end = End("crashed", f"{type(error).__name__}: {error}")
        finally:
            self._ended = await self._close(self.wanted_end or end)

    async def _talk(self, flow: Flow, tools: asyncio.TaskGroup) -> End:
        try:
            async with asyncio.TaskGroup() as group:
                self._live = LiveCall(
                    self._line, self._audio, self._bundle, self._metrics, group, tools
                )
                tasks = [
                    group.create_task(self._audio.run()),
                    group.create_task(self._follow_line(self._live)),
                    group.create_task(self._watch()),
                ]
                if self._line.facts.direction == "out":
                    self._on_ringing(self._live)
                    await self._line.wait_answered(self._limits.ring_timeout_s)
                end = await flow(self._live)
                for task in tasks:
                    task.cancel()
                self._live.control.end()
        except BaseExceptionGroup as errors:
            return self._end_by(errors)
        return end

    async def _follow_line(self, live: LiveCall) -> None:
        async for event in self._line.events():
            if isinstance(event, HungUp):
                self._is_over()
                raise _LineClosed
            if isinstance(event, Answered):
                self._on_answered(live)
            elif isinstance(event, MediaSource):
                self._metrics.rtp_source_changes.labels(event.reason).inc()
                live.note(events.MediaSourceChanged(address=event.address, reason=event.reason))
            else:
                if isinstance(event, Digit):  # there is a better way than tones: each key once
                    self._stop_listening_for_tones()
                live.inbox.put_nowait(event)

    def _listen_for_tones(self, live: LiveCall) -> None:
        """Take keys from the audio where they cannot come in another way, or are wanted so."""
        if "digits" in self._line.can or tones.probe():
            return
        self._tones = detector = tones.ToneDetector()

        def listen(frame: bytes) -> None:
            for key in detector.push(frame):
                live.inbox.put_nowait(Digit(key, "tones"))

        self._audio.tones = listen
        live.note(events.ListeningForTones())

    def _stop_listening_for_tones(self) -> None:
        self._audio.tones = None
        if self._tones is not None:
            self._tones.close()
            self._tones = None

    def _on_answered(self, live: LiveCall) -> None:
        codec = self._line.statistics().codec
        self._answered_s = asyncio.get_running_loop().time()
        update = {"answered_at": datetime.now(UTC), "codec": codec}
        self._record = self._record.model_copy(update=update)
        self._bundle.update(self.record)
        live.note(events.Answered(codec=codec))
        self._listen_for_tones(live)

    async def _watch(self) -> None:
        """End calls that have no other party any more (RTP stopped, hold or call too long)."""
        limits = self._limits
        signs: tuple[object, ...] = ()
        quiet_s, held_s, age_s = 0.0, 0.0, 0.0
        while True:
            await asyncio.sleep(_WATCH_S)
            if self._record.answered_at is None:
                continue
            age_s += _WATCH_S
            before, signs = signs, self._line.signs_of_life()
            held_s = held_s + _WATCH_S if self._line.on_hold else 0.0
            if signs != before or self._line.on_hold:
                quiet_s = 0.0
            elif not self._line.outlet.is_busy:  # a caller who listens may be quiet
                quiet_s += _WATCH_S
            if quiet_s >= limits.no_media_timeout_s:
                nothing = f"no RTP, RTCP or request for {limits.no_media_timeout_s:g} s"
                raise _Overdue(End("no_media", nothing))
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
        end = end_of_line(
            ended,
            is_outgoing=self._line.facts.direction == "out",
            was_answered=self._record.answered_at is not None,
            is_transferred=_is_transferred(self._line.transfer_outcome),
        )
        outcome = self._line.transfer_outcome
        if outcome is not None and outcome.result == "assumed":
            return replace(end, text=outcome.text)
        return end

    def _is_over(self) -> None:
        """Take the time at which the line was over; the first counts."""
        self._over = self._over or (datetime.now(UTC), asyncio.get_running_loop().time())

    async def _close(self, end: End) -> CallRecord:
        """Close the line; returns the record as it stands, but for tools that still run."""
        if self._record.answered_at is not None:
            self._is_over()  # the BYE goes out now, whenever it is answered
        try:
            async with asyncio.timeout(10):
                await self._line.hang_up(end)
        except TimeoutError:
            log.error("line_not_closed", reason=end.reason)  # noqa: TRY400 (nothing to trace)
        self._audio.settle()
        self._stop_listening_for_tones()
        status = self._final_status(end)
        rtp = asdict(self._line.statistics())
        codec = rtp.pop("codec")
        self._metrics.rtp_foreign_packets.inc(rtp["foreign_packets"])
        self._metrics.inlet_dropped_frames.inc(self._line.inlet.dropped_frames)
        self._bundle.note(events.CallEnded(end.reason, end.text), self._audio.now_s)
        update = {
            "rtp": RtpStatistics.model_validate(rtp),
            "codec": codec or self._record.codec,
            "echo": self._close_echo(),
        }
        record = self.record.model_copy(update=update | self._transfer_facts())
        self._is_over()
        at, _ = self._over or (datetime.now(UTC), 0.0)
        ended = record.ended(at, end.reason, end.text, status)
        ended = ended.model_copy(update=self._lengths())
        if self._live is not None and self._live.has_open_tools:  # if this process dies meanwhile
            self._bundle.update(ended.model_copy(update={"state": "active"}))
        return ended

    def _complete(self) -> CallRecord:
        """Write the record: the tools have come to their ends."""
        record = self._ended or self.record
        uses = self._live.take_tool_uses() if self._live else []
        late = self._bundle.tool_uses(uses)
        return self._bundle.finish(record.model_copy(update={"late_tools": late}))

    def _transfer_facts(self) -> dict[str, str]:
        """What the other side reported of the last transfer, and which party hung up after it."""
        outcome, ended = self._line.transfer_outcome, self._line.ended
        if outcome is None:
            return {}
        told = events.TransferOutcome(outcome.result, outcome.status)
        self._bundle.note(told, self._audio.now_s)
        is_theirs = outcome.is_success and ended is not None and ended.by == "caller"
        return {"transfer": outcome.result} | ({"hung_up_by": "other_side"} if is_theirs else {})

    def _lengths(self) -> dict[str, float]:
        """How long it was; the wall clock may have been set meanwhile."""
        assert self._over is not None  # noqa: S101 - see `_close`
        over_s = self._over[1]
        lengths = {"duration_s": round(over_s - self._began_s, 3)}
        if self._record.answered_at is not None:
            lengths["talk_s"] = round(over_s - self._answered_s, 3)
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


def _is_transferred(outcome: TransferOutcome | None) -> bool:
    return outcome is not None and outcome.is_success


def end_of_line(
    ended: HungUp, *, is_outgoing: bool, was_answered: bool, is_transferred: bool
) -> End:
    """Return why a call ended that the line ended.  Pure."""
    text = f"{ended.status} {ended.reason}"
    if is_transferred:
        return End("transferred", text, ended.status)
    if was_answered and ended.by == "gateway":  # whatever ended it has a reason of its own
        return End("failed", text, ended.status)
    if was_answered:
        # Other than a BYE: no session refresh came (RFC 4028), or the peer forgot the dialog.
        return End("caller_hung_up" if ended.status < 300 else "failed", text, ended.status)
    if not is_outgoing:
        return End("cancelled", text, ended.status)
    if ended.status in _BUSY:
        return End("busy", text, ended.status)
    return End("no_answer" if ended.status in _NO_ANSWER else "failed", text, ended.status)
