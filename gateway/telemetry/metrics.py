"""Every Prometheus metric of the project, with its unit and labels."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from copy import copy

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest

from gateway.telemetry.fast_histogram import FastHistogram
from gateway.telemetry.per_variant import LABEL, CallCounter, CallHistogram, without_empty
from gateway.telemetry.process import read_usage

_LATENCY_S = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65,
              0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)  # fmt: skip
"""A quantile is read within a bucket: 50 ms where we live."""
_STOP_S = (0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.22, 0.24, 0.26, 0.28, 0.3,
           0.4, 0.5, 1.0)  # fmt: skip
_FRAME_S = (
    0.015,
    0.018,
    0.019,
    0.0195,
    0.0205,
    0.021,
    0.022,
    0.025,
    0.03,
    0.04,
    0.06,
    0.1,
    0.5,
)
_CALLBACK_S = (5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02)
_CALL_S = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)


class Metrics:
    """The metrics of one process, in a registry of their own.  Labels are bounded sets only."""

    def __init__(self) -> None:
        self._idle_bytes = 0
        self._of_variants: dict[str, Metrics] = {"": self}
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=True)
        self._calls()
        self._turns()
        self._media()
        self._engines()
        self._routers()
        self._workers()
        self._process()

    def text(self) -> str:
        """Return the Prometheus text format (0.0.4)."""
        return without_empty(generate_latest(self.registry).decode())

    def of_variant(self, variant: str) -> Metrics:
        """Return these metrics as the calls of a variant count in them; empty = of no split."""
        if variant not in self._of_variants:
            view = copy(self)
            for name, metric in vars(self).items():
                if isinstance(metric, CallCounter | CallHistogram):
                    setattr(view, name, metric.of(variant))
            self._of_variants[variant] = view
        return self._of_variants[variant]

    def observe_process(self) -> None:
        """Refresh the gauges of this process.  Loop thread only; under a millisecond."""
        usage = read_usage()
        self.open_sockets.set(usage.open_sockets)
        self.open_files.set(usage.open_files)
        self.threads.set(usage.threads)
        self.rss_bytes.set(usage.rss_bytes)
        self.cpu_seconds.set(usage.cpu_s)
        self.asyncio_tasks.set(len(asyncio.all_tasks()))

    def mark_idle(self) -> None:
        """Remember what memory is used before the first call."""
        self._idle_bytes = read_usage().rss_bytes
        self.rss_idle_bytes.set(self._idle_bytes)

    def observe_calls(self, used: int) -> None:
        """Set the memory per call in progress, for `used` calls.

        What is left when calls have ended (heaps that have grown) counts for those that follow.
        """
        more = max(0, read_usage().rss_bytes - self._idle_bytes) if used else 0
        self.rss_per_call_bytes.set(more / max(1, used))

    def count_false_interruption(self, evidence: str) -> None:
        """Count a pause that was no interruption, under the metric's former name as well."""
        self._false_interruptions.labels(evidence).inc()
        self._held_breaths.labels(evidence).inc()

    def _calls(self) -> None:
        self.calls = self._call_counter(
            "calls", "Calls that ended, by direction and reason.", "direction", "end_reason"
        )
        self.refused = self._counter("refused", "Incoming calls refused, by rule.", "rule")
        self.outgoing_refused = self._counter(
            "outgoing_refused",
            "Placed calls and transfers that [outgoing] refused, by rule.",
            "rule",
        )
        self.refused.labels("sip.max_calls")  # else the first one is no increase
        self.call_slots = self._gauge("call_slots", "Calls that can be in progress together.")
        self.call_slots_used = self._gauge("call_slots_used", "Calls in progress.")
        self.call_duration = self._call_histogram(
            "call_duration_seconds", "From start to end of a call, in seconds.", _CALL_S
        )
        self.trunk_registered = self._gauge(
            "trunk_registered", "1 while the trunk is registered, else 0.", "trunk"
        )
        self.sip_dialogs = self._gauge("sip_dialogs", "SIP dialogs that have not ended.")
        self.records_errors = self._counter(
            "records_errors", "Parts of call records that could not be written."
        )
        self.redaction_errors = self._counter(
            "redaction_errors", "Texts left out because their redaction failed."
        )
        self.database_errors = self._counter(
            "database_errors", "Attempts to reach the call database that failed."
        )
        self.store_errors = self._counter(
            "store_errors", "Attempts to reach the object store that failed."
        )
        self.clocks_disagree = self._gauge(
            "clocks_disagree", "1 while clocks disagree, so that no old call is deleted; else 0."
        )
        self.records_waiting = self._gauge(
            "records_waiting",
            "Calls that wait, by queue: index (database), store, delete.",
            "queue",
        )

    def _turns(self) -> None:
        latency = (
            ("response_gap", "Last caller speech to first bot speech handed to RTP, in seconds."),
            ("gateway_share", "Response gap without the time of the engines, in seconds."),
            (
                "endpointing",
                "Last caller speech to the decision that the turn is over, in seconds.",
            ),
            ("stt_final", "End of the turn to the final transcript, in seconds."),
            ("llm_first_token", "Request to a language model to its first token, in seconds."),
            (
                "llm_first_sentence",
                "Request to a language model to its first sentence, in seconds.",
            ),
            ("tts_first_audio", "Text given to a voice to its first audio, in seconds."),
            ("playout_start", "First audio to its hand-over to RTP, in seconds."),
            (
                "engine_first_audio",
                "Last caller speech sent to a speech-to-speech engine to its audio, in seconds.",
            ),
            (
                "engine_to_wire",
                "First audio of a speech-to-speech engine to its hand-over to RTP, in seconds.",
            ),
        )
        histograms = {
            name: self._call_histogram(f"{name}_seconds", help_text, _LATENCY_S)
            for name, help_text in latency
        }
        self.response_gap = histograms["response_gap"]
        self.gateway_share = histograms["gateway_share"]
        self.endpointing = histograms["endpointing"]
        self.stt_final = histograms["stt_final"]
        self.llm_first_token = histograms["llm_first_token"]
        self.llm_first_sentence = histograms["llm_first_sentence"]
        self.tts_first_audio = histograms["tts_first_audio"]
        self.playout_start = histograms["playout_start"]
        self.engine_first_audio = histograms["engine_first_audio"]
        self.engine_to_wire = histograms["engine_to_wire"]
        self.barge_in_stop = self._call_histogram(
            "barge_in_stop_seconds",
            "First caller speech to last bot speech sent, in seconds.",
            _STOP_S,
        )
        self.barge_in = self._call_counter(
            "barge_in", "Bot turns that the caller interrupted, by cause.", "cause"
        )
        self.turns = self._call_counter("turns", "Turns that ended, by outcome.", "outcome")
        self.false_starts = self._call_counter(
            "false_starts", "Replies taken back because the caller went on."
        )
        self._false_interruptions = self._call_counter(
            "false_interruptions",
            "Pauses of the bot for sounds that were no interruption, by evidence.",
            "evidence",
        )
        self._held_breaths = self._call_counter(
            "held_breaths", "Former name of gateway_false_interruptions_total.", "evidence"
        )
        self.speculation = self._call_counter(
            "speculation", "Replies prepared before the turn was over, by outcome.", "outcome"
        )
        self.llm_tokens_wasted = self._call_counter(
            "llm_tokens_wasted", "Tokens of prepared replies that were dropped (partly estimated)."
        )
        self.fillers = self._call_counter("fillers", "Short phrases said to bridge a wait.")
        self.watchdog = self._call_counter(
            "watchdog",
            "Silences that no setting explains (faults of the gateway), by finding.",
            "finding",
        )

    def _media(self) -> None:
        self.media_callback = self._histogram(
            "media_callback_seconds",
            "Time of one callback of the media clock, in seconds.",
            _CALLBACK_S,
        )
        self.outbound_frame_gap = FastHistogram(
            "gateway_outbound_frame_gap_seconds",
            "Time between two frames sent, in seconds; 0.020 is right.",
            _FRAME_S,
            self.registry,
        )
        self.rtp_source_changes = self._counter(
            "rtp_source_changes",
            "Addresses that calls took RTP from: signalled, learned, or moved after a silence.",
            "reason",
        )
        self.rtp_foreign_packets = self._counter(
            "rtp_foreign_packets", "RTP packets from addresses that are not the call's, dropped."
        )
        self.inlet_dropped_frames = self._counter(
            "inlet_dropped_frames", "Frames of callers dropped because the event loop was too slow."
        )

    def _engines(self) -> None:
        self.provider_errors = self._call_counter(
            "provider_errors", "Failures of engines, by provider and kind.", "provider", "kind"
        )
        self.tool_calls = self._call_counter(
            "tool_calls", "Function tools run, by outcome.", "tool", "outcome"
        )
        self.llm_requests = self._call_counter("llm_requests", "Requests to language models.")
        self.llm_cached_tokens = self._call_counter(
            "llm_cached_tokens", "Input tokens of language models that the vendors' caches held."
        )
        self.llm_cost = self._call_counter(
            "llm_cost",
            "Cost of the tokens of language models, at the configured prices (partly estimated).",
        )
        self.stt_audio_seconds = self._call_counter(
            "stt_audio_seconds", "Seconds of sound sent to recognizers.", "provider"
        )
        self.stt_cost = self._call_counter(
            "stt_cost", "Cost of recognizers, at the configured prices.", "provider"
        )
        self.tts_characters = self._call_counter(
            "tts_characters", "Characters given to voices in calls.", "provider"
        )
        self.tts_audio_seconds = self._call_counter(
            "tts_audio_seconds", "Seconds of sound that voices have sent in calls.", "provider"
        )
        self.tts_cost = self._call_counter(
            "tts_cost", "Cost of voices in calls, at the configured prices.", "provider"
        )
        self.llm_limits = self._call_counter(
            "llm_limits",
            "Requests to language models not sent, by the limit that was reached.",
            "limit",
        )
        self.engine_sessions = self._call_counter(
            "engine_sessions", "Sessions that speech-to-speech engines accepted.", "provider"
        )
        self.engine_tokens = self._call_counter(
            "engine_tokens",
            "Tokens of speech-to-speech engines: input_text, input_audio, cached_text,"
            " cached_audio, output_text or output_audio.",
            "kind",
        )
        self.engine_session_seconds = self._call_counter(
            "engine_session_seconds", "Seconds of sessions, as speech-to-speech engines count them."
        )
        self.engine_cost = self._call_counter(
            "engine_cost", "Cost of speech-to-speech engines, at the configured prices."
        )
        self.llm_tokens = self._call_counter(
            "llm_tokens",
            "Tokens of language models: input or output (partly estimated).",
            "direction",
        )

    def _routers(self) -> None:
        names = ("router", "engine")
        self.route_requests = self._call_counter(
            "route_requests",
            "Requests of routers to engines, by outcome: served, failed, overtaken.",
            *names, "outcome",
        )  # fmt: skip
        self.route_tokens = self._call_counter(
            "route_tokens", "Tokens of engines behind routers (partly estimated).", *names
        )
        self.route_cost = self._call_counter(
            "route_cost", "Cost of engines behind routers, at the configured prices.", *names
        )
        self.route_switches = self._call_counter(
            "route_switches", "Times that a router went on without an engine that failed.", *names
        )
        self.breaker_opened = self._counter(
            "breaker_opened", "Times that an engine began to be left alone.", *names
        )
        self.breaker_open = self._gauge(
            "breaker_open", "1 while an engine is left alone by a router, else 0.", *names
        )

    def _workers(self) -> None:
        self.workers = self._gauge("workers", "Worker processes, by state.", "state")
        self.memory_bytes = self._gauge(
            "memory_bytes", "Memory of a process, with its part of shared pages (PSS).", "of"
        )
        self.worker_restarts = self._counter(
            "worker_restarts", "Workers started again, by cause: died, stuck, lost.", "cause"
        )
        self.webhook_requests = self._counter(
            "webhook_requests",
            "Requests to receivers of webhooks, by outcome: delivered, failed, refused, given_up.",
            "receiver",
            "outcome",
        )
        self.webhook_waiting = self._gauge(
            "webhook_waiting", "Events that wait for a receiver of webhooks.", "receiver"
        )
        for cause in ("died", "stuck", "lost"):  # else the first one is no increase
            self.worker_restarts.labels(cause)

    def _process(self) -> None:
        self.open_sockets = self._gauge("open_sockets", "Sockets of this process.")
        self.open_files = self._gauge("open_files", "File descriptors of this process.")
        self.asyncio_tasks = self._gauge("asyncio_tasks", "Tasks of the event loop.")
        self.threads = self._gauge("threads", "Threads of this process.")
        self.rss_bytes = self._gauge("rss_bytes", "Resident memory of this process.")
        self.rss_idle_bytes = self._gauge(
            "rss_idle_bytes", "Resident memory of this process before its first call."
        )
        self.rss_per_call_bytes = self._gauge(
            "rss_per_call_bytes", "Resident memory added by calls, for each call in progress."
        )
        self.loop_late = self._gauge(
            "loop_late_seconds", "Longest delay of the event loop in the last 2.5 s, in seconds."
        )
        self.clock_late = self._gauge(
            "clock_late_seconds",
            "How long the next tick of the media clock is overdue, in seconds.",
        )
        self.cpu_seconds = self._gauge(
            "cpu_seconds", "CPU time used since the start of this process, in seconds."
        )

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"gateway_{name}_total", help_text, labels, registry=self.registry)

    def _call_counter(self, name: str, help_text: str, *labels: str) -> CallCounter:
        return CallCounter(self._counter(name, help_text, *labels, LABEL))

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"gateway_{name}", help_text, labels, registry=self.registry)

    def _histogram(
        self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        full_name = f"gateway_{name}"
        return Histogram(full_name, help_text, labels, buckets=buckets, registry=self.registry)

    def _call_histogram(
        self, name: str, help_text: str, buckets: tuple[float, ...]
    ) -> CallHistogram:
        return CallHistogram(self._histogram(name, help_text, buckets, LABEL))


def merge_texts(texts: Mapping[str, str], label: str = "process") -> str:
    """Merge the metrics of several processes into one text.  Pure.

    Args:
        texts: process name -> its Prometheus text; the name becomes a label of every sample.
        label: name of that label.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for process, text in texts.items():
        family = ""
        first_seen = True
        for line in text.splitlines():
            if line.startswith("# "):
                name = line.split(" ", 3)[2]
                if name != family:
                    family, first_seen = name, name not in heads
                if first_seen:
                    heads.setdefault(family, []).append(line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, label, process))
    lines = [line for family in heads for line in heads[family] + samples.get(family, [])]
    return "".join(line + "\n" for line in lines)


def _labelled(sample: str, label: str, value: str) -> str:
    """Put one more label into a sample line."""
    name_end = min(at for at in (sample.find("{"), sample.find(" ")) if at >= 0)
    name, rest = sample[:name_end], sample[name_end:]
    if rest.startswith("{}"):
        rest = rest[2:]
    more = f'{label}="{value}"'
    return f"{name}{{{more},{rest[1:]}" if rest.startswith("{") else f"{name}{{{more}}}{rest}"
