"""The gateway as the HTTP API sees it: live calls from the worker, others from the archive."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gateway.config.models import Eagerness
from gateway.errors import CallNotFound, CommandError
from gateway.http.port import Readiness
from gateway.process.control_client import ControlClient
from gateway.process.messages import (
    CallDetail,
    CallList,
    CallPlaced,
    Done,
    Dtmf,
    GetCall,
    GetMetrics,
    GetStatus,
    GetTrunks,
    HangUp,
    ListCalls,
    MetricsText,
    PlaceCall,
    Say,
    SetEagerness,
    SetRecording,
    Transfer,
    TrunkList,
    TrunkStatus,
    WorkerStatus,
)
from gateway.records.archive import CallArchive
from gateway.records.model import CallRecord, CallSummary
from gateway.records.query import CallQuery, StoredAudio
from gateway.telemetry.metrics import Metrics, merge_texts

_TRANSFER_TIMEOUT_S = 90.0
"""The new party may ring for a while before the final NOTIFY."""
_DTMF_TIMEOUT_S = 60.0
_PLACE_TIMEOUT_S = 15.0


class RemoteGateway:
    """Satisfies `GatewayPort`; the supervisor attaches and detaches the worker."""

    def __init__(self, archive: CallArchive, metrics: Metrics, worker: str = "worker-0") -> None:
        self._archive = archive
        self._metrics = metrics
        self._worker = worker
        self._client: ControlClient | None = None
        self._absence = "the worker is starting"

    def attach(self, client: ControlClient) -> None:
        """Use this connection from now on."""
        self._client = client

    def detach(self, reason: str) -> None:
        """Tell everybody who asks that there is no worker, and why."""
        self._client = None
        self._absence = reason

    async def readiness(self) -> Readiness:
        """Say whether calls are accepted; a worker that does not answer accepts none."""
        try:
            status = await self._connected().request(GetStatus(), WorkerStatus)
        except CommandError as error:
            return Readiness(ready=False, reason=error.reason)
        return Readiness(
            ready=status.ready and not status.draining,
            reason="draining" if status.draining else status.reason,
            slots=status.slots,
            slots_used=status.slots_used,
        )

    async def list_calls(self, query: CallQuery) -> Sequence[CallSummary]:
        """List calls of every gateway, newest first."""
        live: tuple[CallSummary, ...] = ()
        if self._client is not None:
            live = (await self._client.request(ListCalls(), CallList)).calls
        return await self._archive.list_calls(query, live)

    async def get_call(self, call_id: str) -> CallRecord:
        """Give one call: from the worker while it is in progress, else from the archive."""
        try:
            return (await self._connected().request(GetCall(call_id=call_id), CallDetail)).call
        except (CallNotFound, CommandError):
            return await self._archive.get(call_id)

    async def place_call(self, to: str, agent: str, trunk: str) -> str:
        """Place a call and give its id."""
        command = PlaceCall(to=to, agent=agent, trunk=trunk)
        placed = await self._connected().request(command, CallPlaced, _PLACE_TIMEOUT_S)
        return placed.call_id

    async def hang_up(self, call_id: str) -> None:
        """End a call."""
        await self._connected().request(HangUp(call_id=call_id), Done)

    async def transfer(self, call_id: str, target: str) -> None:
        """Transfer a call, to the final NOTIFY."""
        command = Transfer(call_id=call_id, target=target)
        await self._connected().request(command, Done, _TRANSFER_TIMEOUT_S)

    async def say(self, call_id: str, text: str) -> None:
        """Have a text spoken."""
        await self._connected().request(Say(call_id=call_id, text=text), Done)

    async def send_digits(self, call_id: str, digits: str) -> None:
        """Send DTMF."""
        command = Dtmf(call_id=call_id, digits=digits)
        await self._connected().request(command, Done, _DTMF_TIMEOUT_S)

    async def set_eagerness(self, call_id: str, eagerness: Eagerness) -> None:
        """Answer sooner or later from now on."""
        command = SetEagerness(call_id=call_id, eagerness=eagerness)
        await self._connected().request(command, Done)

    async def pause_recording(self, call_id: str, *, paused: bool) -> None:
        """Leave out of the record what is said, or record again."""
        await self._connected().request(SetRecording(call_id=call_id, paused=paused), Done)

    async def delete_call(self, call_id: str) -> None:
        """Delete a finished call everywhere."""
        await self._archive.delete(call_id)

    async def delete_party(self, party: str) -> int:
        """Delete all calls from or to somebody."""
        return await self._archive.delete_party(party)

    async def trunks(self) -> Sequence[TrunkStatus]:
        """Give the state of every trunk."""
        return (await self._connected().request(GetTrunks(), TrunkList)).trunks

    async def metrics_text(self) -> str:
        """Merge what supervisor and worker count; without a worker, the supervisor's alone."""
        self._metrics.observe_process()
        texts = {"supervisor": self._metrics.text()}
        with suppress(CommandError):  # /readyz tells that there is no worker
            reply = await self._connected().request(GetMetrics(), MetricsText)
            texts[self._worker] = reply.text
        return merge_texts(texts)

    async def audio(self, call_id: str) -> Path | StoredAudio:
        """Give `audio.wav`, from disk or store."""
        return await self._archive.audio(call_id)

    def _connected(self) -> ControlClient:
        if self._client is None or not self._client.is_connected:
            raise CommandError(503, self._absence)
        return self._client
