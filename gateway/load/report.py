"""What a load test found out: `report.json`.  Units in the names; None = not measured."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

import gateway
from gateway.load.percentiles import Percentiles


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StepFigures(_Part):
    """One number of calls at once, while all of them were up."""

    calls: int
    """At once, the measuring ones included."""
    probes: int = 0
    seconds: float = 0.0
    """How long it was measured."""
    started: int = 0
    """Calls that began in the whole step."""
    done: int = 0
    failed: int = 0
    causes: Mapping[str, int] = {}
    """Failed calls by cause."""
    goodbyes: int = 0
    """Calls that the agent ended, which is its business: they count as done."""
    retransmissions: int = 0
    """SIP messages that SIPp had to repeat."""
    setup_per_s: float = 0.0
    """Calls answered per second, over the time in which calls were begun."""
    answer_ms: Percentiles = Percentiles()
    """INVITE to 200 of all calls (SIPp's have a resolution of 1 ms)."""
    gap_wire_ms: Percentiles = Percentiles()
    """Response gap as the measuring callers heard it."""
    gap_gateway_ms: Percentiles = Percentiles()
    """The same of all calls, as the gateway recorded it."""
    agreement_ms: Percentiles = Percentiles()
    """Gateway's figure minus the caller's, of the same turns."""
    frame_wire_ms: Percentiles = Percentiles()
    """Time between two packets, as the measuring callers received them."""
    frame_gateway_ms: Percentiles = Percentiles()
    """The same of all calls, as the gateway sent them (from a histogram)."""
    engine_failures: int = 0
    """Of recognizer, language model or synthesizer, by the gateway's metrics: the call goes on, but
    the caller has heard an apology."""
    lost_packets: int = 0
    """Of those sent to the measuring callers."""
    caller_late_p99_ms: float | None = None
    """How late the measuring callers' own packets left: the machine's share of the blame."""
    gateway_cores: Mapping[str, float] = {}
    """CPU by kind of gateway process: 1.0 = one core busy all the time."""
    load_cores: Mapping[str, float] = {}
    """CPU of what makes the load: SIPp, measuring callers, LLM double."""
    machine_cores: float | None = None
    """CPU of everything on this machine."""
    memory_mb: float | None = None
    """Of all gateway processes at the end, shared pages counted once where it is local (PSS)."""
    extra_memory_mb: float | None = None
    """That minus the same before the first call."""
    saturation: tuple[str, ...] = ()
    """Why this step does not hold; empty = it does."""
    first_try: tuple[str, ...] = ()
    """Why the same step did not hold before, without a failed call: it was measured again."""

    @property
    def cpu_percent_per_call(self) -> float | None:
        """Return the percentage of a core that one call takes of the gateway."""
        cores = sum(self.gateway_cores.values())
        return 100 * cores / self.calls if self.gateway_cores else None

    @property
    def calls_per_core(self) -> float | None:
        """Return how many such calls one core's worth of gateway carries."""
        cores = sum(self.gateway_cores.values())
        return self.calls / cores if cores > 0 else None


class Leak(_Part):
    """One figure of one process at rest, before and after."""

    process: str
    name: str
    before: float
    after: float
    is_growth: bool


class Machine(_Part):
    """What was measured on."""

    cpu: str
    cores: int
    python: str
    date: str
    load_average: tuple[float, float, float]
    """When the test began."""


class LoadReport(_Part):
    """All of `report.json`."""

    command: str
    target: str
    engine: str
    mix: Mapping[str, int]
    rate_per_s: float
    machine: Machine
    steps: tuple[StepFigures, ...] = ()
    leaks: tuple[Leak, ...] | None = None
    """None = not asked for."""
    leak_calls: int = 0
    """Calls between the two looks."""
    memory_mb_per_hour: float | None = None
    """Slope of the memory of all gateway processes during the calls."""
    software: str = f"voice-gateway {gateway.__version__}"

    @property
    def saturated(self) -> StepFigures | None:
        """Return the first step that does not hold."""
        return next((step for step in self.steps if step.saturation), None)

    @property
    def best(self) -> StepFigures | None:
        """Return the last step before saturation."""
        good = []
        for step in self.steps:
            if step.saturation:
                break
            good.append(step)
        return good[-1] if good else None
