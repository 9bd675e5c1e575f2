"""The HTTP API as FastAPI routes: each one call of `GatewayPort`, nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Path, Query, Request, Response
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from pydantic import SecretStr

import gateway as product
from gateway.config.models import HttpConfig
from gateway.errors import CommandError
from gateway.http.access import Access, AccessGate
from gateway.http.docs import docs_page
from gateway.http.errors import ErrorBody, install_error_answers
from gateway.http.event_feed import EventFeed
from gateway.http.event_stream import event_routes
from gateway.http.port import (
    AgentBody,
    CallPlacedBody,
    CallsBody,
    CallsQuery,
    DeletedBody,
    DrainBody,
    DtmfBody,
    EagernessBody,
    GatewayPort,
    HealthBody,
    LanguageBody,
    PartyBody,
    PlaceCallBody,
    Readiness,
    RecordingBody,
    ReloadBody,
    ReplaceBody,
    SayBody,
    SettingsChangedBody,
    TransferBody,
    TrunksBody,
    WebhooksBody,
)
from gateway.records.model import CallRecord
from gateway.records.query import StoredAudio

CallId = Annotated[str, Path(pattern=r"^\d{8}-\d{6}-[0-9a-f]{8}$", description="id of the call")]
Settings = Annotated[
    dict[str, Any],
    Body(
        examples=[{"tts": {"rate": 0.8}, "turn": {"eagerness": "low"}}],
        description="a part of `[agents.NAME]`: instructions, stt, llm, tts, s2s, turn,"
        " silence, filler, speculation, llm_timeout_s, fallback, give_up, transfer_failed",
    ),
]

_DESCRIPTION = """\
Watch and steer the calls of this gateway.  **200** carries a body, **201** a call that was begun,
**204** means done and nothing to tell.  Every other answer is `{"error": {"code", "message"}}`.
Without `[http] api_keys` only this machine may ask; with keys, send `Authorization: Bearer KEY` or
`X-API-Key: KEY`; a key of `read_keys` is for GET alone."""


def access_of(config: HttpConfig) -> Access:
    """Return which clients `[http]` lets in."""
    return Access(_values(config.api_keys), _values(config.read_keys), _values(config.metrics_keys))


def create_app(
    gateway: GatewayPort,
    config: HttpConfig,
    feed: EventFeed | None = None,
    access: Access | None = None,
    more: Sequence[APIRouter] = (),
) -> FastAPI:
    """Build the application; `serve` runs it.

    Args:
        gateway: does what is asked.
        config: `[http]`.
        feed: events of all calls; without one there are none.
        access: which clients are let in; made of `config` when not given.
        more: further routes.
    """
    app = FastAPI(
        title="voice-gateway",
        version=product.__version__,
        description=_DESCRIPTION,
        docs_url=None,  # FastAPI's own pages load from a CDN: blank on an offline machine
        redoc_url=None,
    )
    install_error_answers(app)
    app.include_router(_health_routes(gateway))
    app.include_router(_reading_routes(gateway))
    app.include_router(event_routes(feed or EventFeed()))
    app.include_router(_acting_routes(gateway))
    app.include_router(_privacy_routes(gateway))
    app.include_router(_operating_routes(gateway))
    app.add_api_route("/docs", _docs_endpoint(app), include_in_schema=False)
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
    for routes in more:
        app.include_router(routes)
    app.add_middleware(AccessGate, access=access or access_of(config))
    return app


def _health_routes(gateway: GatewayPort) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    async def healthz() -> HealthBody:
        """Report that the supervisor is alive.  Needs no key."""
        return HealthBody()

    @routes.get("/readyz", response_model=Readiness, responses=_not_ready())
    async def readyz() -> Response:
        """Return whether calls are accepted: 200, or 503 with the reason."""
        state = await gateway.readiness()
        return JSONResponse(state.model_dump(), status_code=200 if state.ready else 503)

    @routes.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Return the metrics of all processes in the Prometheus text format."""
        text = await gateway.metrics_text()
        return Response(text, media_type="text/plain; version=0.0.4")

    return routes


def _reading_routes(gateway: GatewayPort) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["calls"], responses=_errors(401, 403, 422))

    @routes.get("/calls")
    async def list_calls(
        asked: Annotated[CallsQuery, Query()],
    ) -> CallsBody:
        """List calls without their turns, newest first, of all gateways that share a database."""
        calls = tuple(await gateway.list_calls(asked.query()))
        is_full = len(calls) == asked.limit
        return CallsBody(calls=calls, next=calls[-1].call_id if is_full else None)

    @routes.get("/calls/{call_id}", responses=_errors(404))
    async def get_call(call_id: CallId) -> CallRecord:
        """Return one call with its turns: as `call.json`, or as far as it has come."""
        return await gateway.get_call(call_id)

    @routes.get("/calls/{call_id}/audio", response_class=FileResponse, responses=_audio())
    async def get_audio(call_id: CallId) -> Response:
        """Download `audio.wav` of a finished call (stereo: left caller, right bot)."""
        if (await gateway.get_call(call_id)).state == "active":
            raise CommandError(409, f"call {call_id} is still in progress")
        found = await gateway.audio(call_id)
        if isinstance(found, StoredAudio):
            size = {"Content-Length": str(found.size_bytes)}
            named = size | {"Content-Disposition": f'attachment; filename="{call_id}.wav"'}
            return StreamingResponse(found.chunks, media_type="audio/wav", headers=named)
        return FileResponse(found, media_type="audio/wav", filename=f"{call_id}.wav")

    @routes.get("/trunks", tags=["trunks"])
    async def trunks() -> TrunksBody:
        """Return the registration state of every trunk."""
        return TrunksBody(trunks=tuple(await gateway.trunks()))

    @routes.get("/webhooks", tags=["events"])
    async def webhooks() -> WebhooksBody:
        """Return how the receivers of webhooks are doing: what waits, and why."""
        return WebhooksBody(webhooks=tuple(gateway.webhooks()))

    return routes


def _acting_routes(gateway: GatewayPort) -> APIRouter:
    routes = APIRouter(
        prefix="/v1/calls", tags=["calls"], responses=_errors(401, 403, 404, 422, 429, 502, 503)
    )

    @routes.post("", status_code=201)
    async def place_call(body: PlaceCallBody, response: Response) -> CallPlacedBody:
        """Place a call.  201 when the INVITE is on its way; the call itself tells how it went."""
        call_id = await gateway.place_call(
            body.to, body.agent, body.trunk, body.variables, body.caller_id
        )
        response.headers["Location"] = f"/v1/calls/{call_id}"
        return CallPlacedBody(call_id=call_id)

    @routes.post("/{call_id}/hangup", status_code=204)
    async def hangup(call_id: CallId) -> None:
        """End a call.  204 when it is ending; 404 when it is not in progress (any more)."""
        await gateway.hang_up(call_id)

    @routes.post("/{call_id}/transfer", status_code=204, responses=_errors(409))
    async def transfer(call_id: CallId, body: TransferBody) -> None:
        """Transfer (REFER).  204 when the new party answered; 502 when it was refused.

        409 while the call is not answered.
        """
        await gateway.transfer(call_id, body.target)

    @routes.post("/{call_id}/say", status_code=204)
    async def say(call_id: CallId, body: SayBody) -> None:
        """Speak a text.  204 when it was taken; it follows what the bot is saying."""
        await gateway.say(call_id, body.text)

    @routes.post("/{call_id}/dtmf", status_code=204, responses=_errors(409))
    async def dtmf(call_id: CallId, body: DtmfBody) -> None:
        """Send keys as the line can (RFC 4733, INFO, tones).  204 when the last was sent.

        What the bot is saying waits meanwhile.  409 while the call is not answered.
        """
        await gateway.send_digits(call_id, body.digits.upper())

    @routes.post("/{call_id}/eagerness", status_code=204)
    async def eagerness(call_id: CallId, body: EagernessBody) -> None:
        """Answer the caller sooner or later from now on.  204 when it was taken."""
        await gateway.set_eagerness(call_id, body.eagerness)

    @routes.post("/{call_id}/settings", responses=_errors(409))
    async def settings(call_id: CallId, body: Settings) -> SettingsChangedBody:
        """Go by other settings of the agent: 200 names those that changed, 422 every wrong key.

        The body is a part of the `[agents.NAME]` table; what it does not name stays.  The voice
        changes with its next sentence, everything else with the next turn, until another agent
        leads the call.  Of a request with a fault nothing is changed.  409 while no agent talks.
        """
        return SettingsChangedBody(changed=await gateway.change_settings(call_id, body))

    @routes.post("/{call_id}/agent", status_code=204, responses=_errors(409))
    async def agent(call_id: CallId, body: AgentBody) -> None:
        """Let another agent lead the call, with its history.  204 when it was taken.

        It begins between two turns.  409 while no agent talks in the call.
        """
        await gateway.change_agent(call_id, body.agent, cut=body.cut)

    @routes.post("/{call_id}/language", status_code=204, responses=_errors(409))
    async def language(call_id: CallId, body: LanguageBody) -> None:
        """Go on in another language of the agent's `languages`.  204 when it was taken.

        Recognizer, voice and texts follow between two turns.  409 while no agent talks in the call.
        """
        await gateway.change_language(call_id, body.language, cut=body.cut)

    return routes


def _privacy_routes(gateway: GatewayPort) -> APIRouter:
    routes = APIRouter(prefix="/v1/calls", tags=["privacy"], responses=_errors(401, 403, 422, 503))

    @routes.post("/{call_id}/recording", status_code=204, responses=_errors(404))
    async def recording(call_id: CallId, body: RecordingBody) -> None:
        """Leave out of the record what is said from now on (payment data), or record again."""
        await gateway.pause_recording(call_id, paused=body.paused)

    @routes.delete("/{call_id}", status_code=204, responses=_errors(404, 409))
    async def delete_call(call_id: CallId) -> None:
        """Delete a finished call from disk, store and database.  409 while it is in progress."""
        await gateway.delete_call(call_id)

    # The number is in the body: a path or query would end up in the logs of proxies.
    @routes.post("/delete", responses=_errors(409))
    async def delete_party(body: PartyBody) -> DeletedBody:
        """Delete every call from or to a number.  409, and nothing deleted, while one lasts."""
        return DeletedBody(deleted=await gateway.delete_party(body.party))

    return routes


def _operating_routes(gateway: GatewayPort) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["operation"], responses=_errors(401, 403, 503))

    @routes.post("/drain", status_code=202)
    async def drain() -> DrainBody:
        """Take no more calls.  202; the gateway ends when the calls in progress have ended."""
        return await gateway.drain()

    @routes.post("/reload", responses=_errors(409, 422))
    async def reload() -> ReloadBody:
        """Serve new calls by the configuration now on disk; calls in progress keep theirs.

        200 when it holds.  Otherwise nothing has changed: 422 names file and line of what is
        wrong, 409 what needs a restart.
        """
        return await gateway.reload()

    @routes.post("/replace", responses=_errors(409))
    async def replace() -> ReplaceBody:
        """Replace each worker by the program now on disk, one after the other, behind an edge.

        200 when new calls go to new workers; calls in progress go on in the old ones.
        """
        return await gateway.replace()

    return routes


def _values(keys: Iterable[SecretStr]) -> list[str]:
    return [key.get_secret_value() for key in keys]


def _docs_endpoint(app: FastAPI) -> Any:  # noqa: ANN401 - FastAPI takes any callable
    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi(), str(request.base_url).rstrip("/")))

    return docs


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody} for status in statuses}


def _not_ready() -> dict[int | str, dict[str, Any]]:
    return {503: {"model": Readiness, "description": "No calls are accepted; `reason` says why"}}


def _audio() -> dict[int | str, dict[str, Any]]:
    wav = {"content": {"audio/wav": {}}, "description": "The recording"}
    return {200: wav} | _errors(404, 409)
