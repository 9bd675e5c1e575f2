"""The registration of one trunk, as workers, the edge and the HTTP API report it.  No I/O."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from gateway.records.model import Text


class TrunkStatus(BaseModel):
    """Registration of one trunk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    state: Literal["unregistered", "registering", "registered", "failed", "static"]
    """`static`: no registration is configured."""
    sip_status: int | None = None
    reason: Text = ""
    expires_s: float | None = None
    """Seconds until the registration must have been refreshed."""
    retry_s: float | None = None
    """Seconds until the next attempt after a failure."""
    server: str = ""
    """Address and port that requests go to now; empty = not found yet, or an edge knows it."""
