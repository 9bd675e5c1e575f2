"""`gateway doctor`: looks at a deployment from inside and names cause and fix in plain words.

Each check is an async generator over one `Deployment` that yields findings: it gathers facts (thin
I/O) and hands them to pure functions named `judge_*`, which decide.
"""

from gateway.doctor.deployment import Deployment
from gateway.doctor.examination import CHECKS, examine
from gateway.doctor.finding import Finding, Level

__all__ = ["CHECKS", "Deployment", "Finding", "Level", "examine"]
