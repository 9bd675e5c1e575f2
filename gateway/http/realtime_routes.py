"""`POST /v1/realtime/client_secrets`: keys for browsers, as OpenAI's API makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from gateway.config.models import AgentConfig, RealtimeConfig
from gateway.http.client_secrets import DEFAULT_S, LEAST_S, MOST_S, ClientSecrets
from gateway.http.errors import ErrorBody, error_response
from gateway.realtime.protocol.errors import ProtocolError
from gateway.realtime.protocol.settings import SessionSettings, updated, wire


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ExpiresAfterBody(_Body):
    """When it expires."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(ge=LEAST_S, le=MOST_S)] = DEFAULT_S


class ClientSecretBody(_Body):
    """What the secret is for."""

    expires_after: ExpiresAfterBody = ExpiresAfterBody()
    session: dict[str, Any] = Field(
        default={}, description="settings that sessions of this secret begin with",
        examples=[{"type": "realtime", "model": "front-desk"}],
    )  # fmt: skip


class ClientSecretMade(BaseModel):
    """The secret."""

    value: str
    expires_at: int
    session: dict[str, Any]


def realtime_routes(
    config: RealtimeConfig, agents: Mapping[str, AgentConfig], secrets: ClientSecrets
) -> APIRouter:
    """Make the routes.

    Args:
        config: `[realtime]`.
        agents: by name.
        secrets: keeps what is made.
    """
    routes = APIRouter(prefix="/v1/realtime", tags=["realtime"])

    @routes.post(
        "/client_secrets",
        response_model=ClientSecretMade,
        responses={status: {"model": ErrorBody} for status in (401, 403, 404, 422)},
    )
    async def client_secrets(body: ClientSecretBody) -> Any:  # noqa: ANN401 - or an error
        """Make a key that a browser may have: it opens realtime sessions until it expires."""
        if not config.enabled:
            return error_response(404, "not_found", "[realtime] enabled is false")
        given = dict(body.session)
        agent = str(given.pop("model", "") or "")
        if agent and agent not in agents:
            known = ", ".join(agents)
            return error_response(
                422, "model_not_found", f"there is no agent {agent!r}; there are: {known}"
            )
        kind = given.get("type", "realtime")
        kind = kind if kind in ("realtime", "transcription") else "realtime"
        try:
            settings = updated(SessionSettings(type=kind), given)
        except ProtocolError as problem:
            return error_response(422, problem.code, problem.message)
        seconds = body.expires_after.seconds
        value = secrets.make(seconds, agent, {**given, "type": kind},
                             asyncio.get_running_loop().time())  # fmt: skip
        expires_at = int(datetime.now(UTC).timestamp()) + seconds
        session = {**wire(settings), "id": f"sess_{value[-20:]}", "object": "realtime.session",
                   "model": agent, "expires_at": 0}  # fmt: skip
        made = {"value": value, "expires_at": expires_at, "session": session}
        return JSONResponse(made)

    return routes
