"""`[[webhooks]]`: which events of calls are sent to which URL."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, SecretStr

from gateway.config.models.table import Table

WebhookType = Literal[
    "call.started",
    "call.answered",
    "call.turn",
    "call.tool",
    "call.transfer",
    "call.ended",
    "call.record_ready",
]
WEBHOOK_TYPES: tuple[WebhookType, ...] = get_args(WebhookType)


class WebhookConfig(Table):
    """One of `[[webhooks]]`: a receiver of events."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    """In the log, in metrics and in the API; the folder of what waits is called so."""
    url: str
    """Where events are sent (POST, JSON); http:// only to this machine or a private address."""
    secret: SecretStr
    """Signs every request: `whsec_` and base64, or any text of at least 24 characters."""
    events: tuple[WebhookType, ...] = WEBHOOK_TYPES
    """Which events."""
    headers: dict[str, SecretStr] = {}
    """Further headers of every request."""
    timeout_s: Annotated[float, Field(ge=1, le=60)] = 10.0
    """How long the receiver may take to answer 2xx."""
    keep_h: Annotated[float, Field(gt=0, le=24 * 30)] = 24.0
    """How long an event that cannot be delivered is tried again; then it is given up."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 8
    """How many requests at a time; events of one call are always sent one after the other."""
