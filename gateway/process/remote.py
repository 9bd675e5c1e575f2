"""The gateway as the HTTP API sees it: live calls from the workers, others from the archive."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from gateway.config.models import Eagerness
from gateway.conversation.day_ledger import DayLedger
from gateway.edge.edge import Edge
from gateway.errors import CallNotFound, CommandError, GatewayError, NoCallSlot
from gateway.http.port import NO_VARIABLES, DrainBody, Readiness, ReloadBody, ReplaceBody
from gateway.process.call_directory import CallDirectory
from gateway.process.control_client import ControlClient
from gateway.process.messages import (
    CallDetail,
    CallList,
    CallPlaced,
    ChangeAgent,
    ChangeLanguage,
    ChangeSettings,
    Command,
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
    SettingsChanged,
    Transfer,
    TrunkList,
    WorkerStatus,
)
from gateway.process.worker_process import WorkerState
from gateway.records.archive import CallArchive
from gateway.records.model import CallRecord, CallSummary
from gateway.records.query import CallQuery, StoredAudio
from gateway.sip.trunk_status import TrunkStatus
from gateway.telemetry.metrics import Metrics, merge_texts
from gateway.telemetry.process import read_memory
from gateway.webhooks.dispatcher import Webhooks
from gateway.webhooks.status import WebhookStatus

R = TypeVar("R", bound=BaseModel)
CallCommand = (
    GetCall | HangUp | Transfer | Say | Dtmf | SetEagerness | ChangeAgent | ChangeSettings
    | ChangeLanguage | SetRecording
)  # fmt: skip

_LOOK_TIMEOUT_S = 2.0
"""Figures of a worker that takes longer are left out."""
_COMMAND_TIMEOUT_S = 10.0
_TRANSFER_TIMEOUT_S = 90.0
"""The new party may ring for a while before the final NOTIFY."""
_DTMF_TIMEOUT_S = 60.0
_PLACE_TIMEOUT_S = 15.0
_STATES: tuple[WorkerState, ...] = ("starting", "up", "stuck", "draining")


class Link(Protocol):
    """A worker that may be asked."""

    @property
    def name(self) -> str:
        """Such as `worker-3`."""

    @property
    def kind(self) -> str:
        """`worker` for telephone calls, `realtime` for sessions."""

    @property
    def state(self) -> WorkerState:
        """State of the worker: whether it accepts calls."""

    @property
    def client(self) -> ControlClient | None:
        """The connection, once there is one."""


class Workers(Protocol):
    """All that are there."""

    @property
    def workers(self) -> Sequence[Link]:
        """Every process that has not ended."""

    @property
    def absence(self) -> str:
        """Why none can be asked, when none can be."""

    @property
    def calls(self) -> CallDirectory:
        """Which worker has which call."""


class Operations(Protocol):
    """What changes the workers."""

    def drain(self) -> None:
        """Accept no more calls and end with the last one."""

    def processes(self) -> Mapping[str, int]:
        """Name and id of every process of this gateway."""

    async def reload(self) -> tuple[str, ...]:
        """Serve new calls by the files now on disk; return what is different."""

    async def replace(self) -> int:
        """Replace every worker by the program now on disk; return how many."""


class RemoteGateway:
    """Satisfies `GatewayPort` by asking the workers."""

    def __init__(
        self,
        archive: CallArchive,
        metrics: Metrics,
        workers: Workers,
        operations: Operations,
        edge: Edge | None = None,
        webhooks: Webhooks | None = None,
    ) -> None:
        self._archive = archive
        self._metrics = metrics
        self._workers = workers
        self._operations = operations
        self._edge = edge
        self._webhooks = webhooks

    # --- what can be seen ---

    async def readiness(self) -> Readiness:
        """Return whether calls are accepted; a worker that does not answer accepts none."""
        asked = await self._ask_telephony()
        used = sum(status.slots_used for _, status in asked)
        taking = [status for link, status in asked if link.state == "up" and not status.draining]
        slots = sum(status.slots for status in taking)
        if self._edge and not self._edge.is_up.is_set():
            return Readiness(
                ready=False, reason="the edge does not run", slots=slots, slots_used=used
            )
        sessions = [link for link in self._workers.workers if link.kind == "realtime"]
        if sessions and all(link.state == "starting" for link in sessions):
            reason = "the workers of realtime sessions are starting"
            return Readiness(ready=False, reason=reason, slots=slots, slots_used=used)
        if any(status.ready for status in taking):
            return Readiness(ready=True, slots=slots, slots_used=used)
        reason = taking[0].reason if taking else self._why_none_takes_calls()
        return Readiness(ready=False, reason=reason, slots=slots, slots_used=used)

    async def list_calls(self, query: CallQuery) -> Sequence[CallSummary]:
        """List calls of every gateway, newest first."""
        asked = await self._ask_all(ListCalls(), CallList)
        live = [call for _, found in asked for call in found.calls]
        return await self._archive.list_calls(query, live)

    async def get_call(self, call_id: str) -> CallRecord:
        """Return one call: from its worker while it is in progress, else from the archive."""
        if self._workers.calls.worker_of(call_id) is not None:
            command = GetCall(call_id=call_id)
            with suppress(CallNotFound, CommandError):
                return (await self._ask_for_call(command, CallDetail, _LOOK_TIMEOUT_S)).call
        return await self._archive.get(call_id)

    async def trunks(self) -> Sequence[TrunkStatus]:
        """Return the state of every trunk; registered wins where workers differ."""
        if self._edge:
            return self._edge.trunks()
        trunks: dict[str, TrunkStatus] = {}
        self._linked()
        for _, found in await self._ask_all(GetTrunks(), TrunkList):
            for trunk in found.trunks:
                if trunk.name not in trunks or trunk.state == "registered":
                    trunks[trunk.name] = trunk
        return list(trunks.values())

    def webhooks(self) -> Sequence[WebhookStatus]:
        """Return how every receiver of webhooks is doing."""
        return self._webhooks.status() if self._webhooks else ()

    async def metrics_text(self) -> str:
        """Merge what supervisor and workers count."""
        states = Counter(link.state for link in self._workers.workers)
        for state in _STATES:
            self._metrics.workers.labels(state).set(states[state])
        self._metrics.observe_process()
        self._observe_memory()
        texts = {"supervisor": self._metrics.text()}
        texts |= {
            link.name: got.text for link, got in await self._ask_all(GetMetrics(), MetricsText)
        }
        return merge_texts(texts)

    async def audio(self, call_id: str) -> Path | StoredAudio:
        """Return `audio.wav`, from disk or store."""
        return await self._archive.audio(call_id)

    def _observe_memory(self) -> None:
        self._metrics.memory_bytes.clear()
        for name, pid in self._operations.processes().items():
            with suppress(OSError):  # it has just ended
                self._metrics.memory_bytes.labels(name).set(read_memory(pid))

    # --- calls ---

    async def place_call(
        self,
        to: str,
        agent: str,
        trunk: str,
        variables: Mapping[str, str] = NO_VARIABLES,
        caller_id: str = "",
    ) -> str:
        """Place a call on the worker that has most room, and give its id."""
        command = PlaceCall(
            to=to, agent=agent, trunk=trunk, variables=dict(variables), caller_id=caller_id
        )
        self._linked()
        asked = await self._ask_telephony()
        full: GatewayError = CommandError(503, self._why_none_takes_calls())
        for link in by_room([(link, status) for link, status in asked if link.state == "up"]):
            if link.client is None:
                continue
            try:
                placed = await link.client.request(command, CallPlaced, _PLACE_TIMEOUT_S)
            except NoCallSlot as error:  # taken meanwhile, or all are: the next may have one
                full = error
            else:
                self._workers.calls.placed(link, placed.call_id)
                return placed.call_id
        raise full

    async def hang_up(self, call_id: str) -> None:
        """End a call."""
        await self._ask_for_call(HangUp(call_id=call_id), Done)

    async def transfer(self, call_id: str, target: str) -> None:
        """Transfer a call, to the final NOTIFY."""
        command = Transfer(call_id=call_id, target=target)
        await self._ask_for_call(command, Done, _TRANSFER_TIMEOUT_S)

    async def say(self, call_id: str, text: str) -> None:
        """Have a text spoken."""
        await self._ask_for_call(Say(call_id=call_id, text=text), Done)

    async def send_digits(self, call_id: str, digits: str) -> None:
        """Send DTMF."""
        await self._ask_for_call(Dtmf(call_id=call_id, digits=digits), Done, _DTMF_TIMEOUT_S)

    async def set_eagerness(self, call_id: str, eagerness: Eagerness) -> None:
        """Answer sooner or later from now on."""
        await self._ask_for_call(SetEagerness(call_id=call_id, eagerness=eagerness), Done)

    async def change_agent(self, call_id: str, agent: str, *, cut: bool) -> None:
        """Let another agent lead a call."""
        await self._ask_for_call(ChangeAgent(call_id=call_id, agent=agent, cut=cut), Done)

    async def change_settings(self, call_id: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Have a call go by other settings; return the keys of those that changed."""
        command = ChangeSettings(call_id=call_id, settings=dict(settings))
        return (await self._ask_for_call(command, SettingsChanged)).changed

    async def change_language(self, call_id: str, language: str, *, cut: bool) -> None:
        """Go on in another language."""
        command = ChangeLanguage(call_id=call_id, language=language, cut=cut)
        await self._ask_for_call(command, Done)

    async def pause_recording(self, call_id: str, *, paused: bool) -> None:
        """Leave out of the record what is said, or record again."""
        await self._ask_for_call(SetRecording(call_id=call_id, paused=paused), Done)

    # --- finished calls ---

    async def delete_call(self, call_id: str) -> None:
        """Delete a finished call everywhere."""
        await self._archive.delete(call_id)

    async def delete_party(self, party: str) -> int:
        """Delete all calls from or to a party, beginning with what the workers hold."""
        await self._nothing_in_memory(party)
        deleted = await self._archive.delete_party(party)
        if not await DayLedger.of_machine().forget(party):
            problem = "their calls are gone, but not what they have spent at language models"
            raise CommandError(503, f"{problem}; ask again")
        return deleted

    async def _nothing_in_memory(self, party: str) -> None:
        """Raises CommandError: a worker has what is not on disk yet, or cannot be asked."""
        linked = [link for link in self._workers.workers if link.client is not None]
        asked = await self._ask_all(ListCalls(), CallList)
        states = await self._ask_all(GetStatus(), WorkerStatus)
        if min(len(asked), len(states)) < len(linked):
            raise CommandError(503, "a worker does not answer: it may have a call of theirs")
        live = [call for _, found in asked for call in found.calls]
        if theirs := [c.call_id for c in live if party in (c.caller, c.called)]:
            raise CommandError(409, f"still in progress: {', '.join(theirs)}")
        if waiting := sum(state.unwritten for _, state in states):
            raise CommandError(503, f"{waiting} finished records wait for a disk that is full")

    # --- operation ---

    async def drain(self) -> DrainBody:
        """Accept no more calls; the gateway ends with the last one."""
        self._operations.drain()
        asked = await self._ask_all(GetStatus(), WorkerStatus)
        return DrainBody(calls=sum(status.slots_used for _, status in asked))

    async def reload(self) -> ReloadBody:
        """Serve new calls by the files now on disk."""
        return ReloadBody(changed=await self._operations.reload())

    async def replace(self) -> ReplaceBody:
        """Replace every worker by the program now on disk."""
        return ReplaceBody(workers=await self._operations.replace())

    # --- asking ---

    def _linked(self) -> list[tuple[Link, ControlClient]]:
        """Return every worker that can be asked.  Raises CommandError: there is none."""
        links = [(link, link.client) for link in self._workers.workers]
        found = [(link, client) for link, client in links if client and client.is_connected]
        if not found:
            raise CommandError(503, self._workers.absence)
        return found

    def _why_none_takes_calls(self) -> str:
        stuck = [link.name for link in self._workers.workers if link.state == "stuck"]
        return f"stuck: {', '.join(stuck)}" if stuck else self._workers.absence

    async def _ask_telephony(self) -> list[tuple[Link, WorkerStatus]]:
        """Return the state of every worker of telephone calls."""
        asked = await self._ask_all(GetStatus(), WorkerStatus)
        return [(link, status) for link, status in asked if link.kind == "worker"]

    async def _ask_all(self, command: Command, reply: type[R]) -> list[tuple[Link, R]]:
        """Return the replies of all workers that answer."""

        async def ask(link: Link, client: ControlClient) -> tuple[Link, R] | None:
            try:
                return link, await client.request(command, reply, _LOOK_TIMEOUT_S)
            except GatewayError:
                return None

        try:
            linked = self._linked()
        except CommandError:
            return []
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(ask(link, client)) for link, client in linked]
        return [found for task in asking if (found := task.result()) is not None]

    async def _ask_for_call(
        self, command: CallCommand, reply: type[R], timeout_s: float = _COMMAND_TIMEOUT_S
    ) -> R:
        """Have the worker that has the call do something."""
        worker = self._workers.calls.worker_of(command.call_id)
        if worker is None:
            self._linked()
            raise CallNotFound(404, await self._why_not_here(command.call_id))
        if worker.client is None or not worker.client.is_connected:
            raise CommandError(503, self._workers.absence)
        return await worker.client.request(command, reply, timeout_s)

    async def _why_not_here(self, call_id: str) -> str:
        """Name the host that has a call, where gateways share a database."""
        with suppress(GatewayError):
            call = await self._archive.get(call_id)
            if call.state == "active" and call.host not in ("", self._archive.host):
                return f"call {call_id} is in progress on host {call.host}: ask there"
        return "no such call in progress"


def by_room(asked: Sequence[tuple[Link, WorkerStatus]]) -> list[Link]:
    """Order workers by their free slots, most first.  Pure."""
    free = sorted(asked, key=lambda pair: pair[1].slots_used - pair[1].slots)
    return [link for link, _ in free]
