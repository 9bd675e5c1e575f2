"""How receivers of webhooks are doing, as the API shows it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class WebhookStatus(BaseModel):
    """One receiver."""

    model_config = ConfigDict(frozen=True)

    name: str
    waiting: int
    """Events that are not delivered yet."""
    failures: int
    """How many times in a row it was not reached or in trouble."""
    problem: str = ""
    """Why the latest request failed; empty = it did not."""
    delivered_at: datetime | None = None
    """When this process delivered the last one."""
