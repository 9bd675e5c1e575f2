"""The recognizer's socket side: takes requests from workers, has them decoded in order."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Protocol, cast

from gateway.recognizer.end_of_turn import EndOfTurnScorer
from gateway.recognizer.grammar import GrammarName
from gateway.recognizer.moonshine import Decoding
from gateway.recognizer.protocol import (
    Cancel,
    Decode,
    Decoded,
    EndOfTurnScore,
    FrameReader,
    GoesOn,
    Message,
    ProtocolViolation,
    Refused,
    encode,
)
from gateway.recognizer.queue import DecodeQueue, Dropped, Job, Run
from gateway.threads import BlockingEngine

log = logging.getLogger(__name__)

_MAX_UNREAD_BYTES = 1 << 20
"""Unread answers after which a worker is disconnected."""
_HUNG_AFTER_S = 20.0
"""A decode takes half a second; ten times that on a busy machine."""
_EXIT_HUNG = 70  # sysexits.h EX_SOFTWARE


class Model(Protocol):
    """Implemented by `MoonshineModel`."""

    def decode(
        self,
        pcm: bytes,
        choices: Sequence[str],
        should_stop: Callable[[], bool],
        draft: Sequence[int],
        grammar: GrammarName | None,
        rate_hz: int,
    ) -> Decoding | None:
        """Recognize mono s16le at `rate_hz`; None when stopped."""


class RecognizerServer:
    """Serves any number of workers; the loop stays free while the model computes."""

    def __init__(
        self,
        model: Model,
        engines: Sequence[BlockingEngine],
        scorer: EndOfTurnScorer | None = None,
        *,
        hung_after_s: float = _HUNG_AFTER_S,
        give_up: Callable[[], object] | None = None,
    ) -> None:
        """Serve with a model.

        Args:
            model: may be used by as many threads at once as there are engines.
            engines: each decodes one segment at a time.
            scorer: for the ends of turns; None = no scores.
            hung_after_s: a decode that takes longer is considered hung.
            give_up: what is done then; without it the process is ended, for a thread cannot be,
                and its owner starts another.
        """
        self._model = model
        self._scorer = scorer
        self._engines = engines
        self._queue = DecodeQueue()
        self._hung_after_s = hung_after_s
        self._give_up = give_up
        self._drafts: dict[tuple[Hashable, int], tuple[int, ...]] = {}
        """What was decoded last of each caller turn that is still going on."""
        self._awake = asyncio.Event()

    async def serve(self, socket: Path, on_ready: Callable[[], None]) -> None:
        """Listen on `socket` and decode until cancelled.  Raises OSError when it cannot listen."""
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: _Peer(self), str(socket))
        try:
            _keep_private(socket)
            on_ready()
            async with asyncio.TaskGroup() as tasks:
                for engine in self._engines:
                    tasks.create_task(self._decode_forever(engine, tasks))
        finally:
            server.close()
            _remove(socket)

    def take(self, peer: _Peer, message: Message, pcm: bytes) -> None:
        """Act on one message of a worker.  Raises ProtocolViolation."""
        match message:
            case Decode():
                job = Job(
                    peer,
                    message.id,
                    message.stream,
                    message.final,
                    pcm,
                    message.choices,
                    message.grammar,
                    message.rate_hz,
                )
                for dropped in self._queue.put(job):
                    _refuse(dropped)
                self._awake.set()
            case Cancel(stream=stream):
                self._queue.cancel(peer, stream)
                self._drafts.pop((peer, stream), None)
                self._drop_score(peer, stream)
            case GoesOn(stream=stream):
                for dropped in self._queue.goes_on(peer, stream):
                    _refuse(dropped)
                self._drop_score(peer, stream)
            case _:
                raise ProtocolViolation(f"a worker does not send {message.op!r}")

    def forget(self, peer: _Peer) -> None:
        """Drop everything that a lost connection wanted."""
        self._queue.cancel(peer)
        self._drafts = {turn: draft for turn, draft in self._drafts.items() if turn[0] is not peer}

    def _drop_score(self, peer: _Peer, stream: int) -> None:
        if self._scorer is not None:
            self._scorer.drop((peer, stream))

    async def _decode_forever(self, engine: BlockingEngine, tasks: asyncio.TaskGroup) -> None:
        while True:
            run = self._queue.start_next()
            if run is None:
                self._awake.clear()
                await self._awake.wait()
                continue
            watch = asyncio.get_running_loop().call_later(self._hung_after_s, self._is_hung)
            try:
                answered = await self._decode(run, engine)
            finally:
                watch.cancel()
            self._awake.set()  # another engine may go on with the same turn
            if answered is not None:
                self._score_end(tasks, answered)  # beside the decoding it would slow that down

    def _is_hung(self) -> None:
        log.critical("decoder_hung")
        if self._give_up is None:
            os._exit(_EXIT_HUNG)
        self._give_up()

    async def _decode(self, run: Run, engine: BlockingEngine) -> Job | None:
        """Decode and answer; give the job as it was wanted at the end, if it was."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        job = run.job
        draft = self._drafts.get(job.turn, ())
        try:
            decoding = await engine.call(
                self._model.decode,
                job.pcm,
                job.choices,
                lambda: self._queue.should_stop(run),
                draft,
                job.grammar,
                job.rate_hz,
            )
        except Exception:  # border: whatever the native runtime raises costs one job
            log.exception("decode_failed")
            self._queue.finish(run)
            _send(job, Refused(id=job.id, reason="failed"))
            return None
        decode_ms = (loop.time() - started_s) * 1000
        wanted = self._queue.finish(run)
        if wanted is None:
            return None
        if decoding is not None:
            self._drafts[job.turn] = decoding.tokens
        _send(job, _answer(job, decoding, decode_ms))
        return wanted

    def _score_end(self, tasks: asyncio.TaskGroup, job: Job) -> None:
        """Judge by its sound, too, what may end a turn.

        Not where a phrase is expected: that ends the turn anyway.  Nor when the caller goes on.
        """
        if self._scorer is None or not job.final or job.choices:
            return

        def tell(end_of_turn: float) -> None:
            _send(job, EndOfTurnScore(id=job.id, end_of_turn=end_of_turn))

        self._scorer.score(tasks, job.turn, job.pcm, job.rate_hz, tell)


class _Peer(asyncio.Protocol):
    """One worker's connection."""

    def __init__(self, server: RecognizerServer) -> None:
        self._server = server
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        try:
            for message, pcm in self._reader.receive(data):
                self._server.take(self, message, pcm)
        except ProtocolViolation:
            self._abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.forget(self)

    def send(self, message: Message) -> None:
        transport = self._transport
        if transport is None:
            return
        transport.write(encode(message))
        if transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            self._abort()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _keep_private(socket: Path) -> None:
    socket.chmod(0o600)


def _remove(socket: Path) -> None:
    socket.unlink(missing_ok=True)


def _answer(job: Job, decoding: Decoding | None, decode_ms: float) -> Message:
    if decoding is None:
        return Refused(id=job.id, reason="replaced")
    return Decoded(
        id=job.id,
        text=decoding.text,
        log_prob=decoding.log_prob,
        choice=decoding.choice,
        decode_ms=round(decode_ms, 1),
    )


def _refuse(dropped: Dropped) -> None:
    _send(dropped.job, Refused(id=dropped.job.id, reason=dropped.reason))


def _send(job: Job, message: Message) -> None:
    if isinstance(job.peer, _Peer):
        job.peer.send(message)
