"""What a run has sent and what came back."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Figures:
    """Counts of one target."""

    target: str
    sent: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    """Final answers by status, or whatever else came back."""
    slow_pings: int = 0
    """A liveness check that took more than a second."""
    last: deque[bytes] = field(default_factory=lambda: deque(maxlen=400))
    """What was sent last: what did it must be among them."""
    faults: list[str] = field(default_factory=list)
    """What must not happen."""

    def count(self, data: bytes) -> None:
        """Count one message or packet."""
        self.sent += 1
        self.bytes_sent += len(data)
        self.last.append(data)

    def fault(self, text: str) -> None:
        """Keep the first faults."""
        if len(self.faults) < 20:
            self.faults.append(text)

    def line(self) -> str:
        """One line of the report."""
        rate = self.sent / self.seconds if self.seconds else 0.0
        answers = " ".join(f"{status}:{n}" for status, n in sorted(self.answers.items()))
        return (
            f"{self.target:5} {self.sent:9} sent {self.bytes_sent / 1e6:8.1f} MB "
            f"{self.seconds:6.0f} s {rate:7.0f}/s  slow pings {self.slow_pings}  {answers}"
        )
