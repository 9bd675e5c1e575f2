"""Conditions in which the caller speaks and waits: response gap, false starts, cut-offs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks._cloud import RECOGNIZER_MS, VOICE_MS, TimedFlux, TimedVoice
from benchmarks._gateway import running_gateway
from benchmarks._report import progress
from benchmarks.turns import agents, corpus
from benchmarks.turns.caller import Part, Said, Trace, attempt
from benchmarks.turns.corpus import Utterance
from benchmarks.turns.judge import answer_to, count_recall, digit_recall, fate, word_recall
from benchmarks.turns.plan import Plan, batched
from benchmarks.turns.reference import references
from benchmarks.turns.store import Row, Rows
from benchmarks.turns.table import STAGES
from gateway.probe import scenario
from gateway.probe.rtp import Impairments
from tests.support.llm_server import Answer as LlmAnswer
from tests.support.llm_server import LlmServer, Seen

FIRST_TOKEN_MS, TOKEN_MS = 300.0, 30.0
BAD_NETWORK = Impairments(loss_percent=3.0, jitter_ms=30.0)
_TURNS_PER_CALL = 8
Recall = Callable[[str, str], float]
FinalText = Callable[[Said], str | None]


@dataclass(frozen=True, slots=True)
class _Judging:
    """How the turns of a condition are judged."""

    references: Mapping[str, str]
    final_text: FinalText
    recall: Recall | None = word_recall
    """None: too short for that; a turn in parts is broken."""


async def gap(plan: Plan, name: str = "gap", impairments: Impairments | None = None) -> None:
    """Natural requests, offline script."""
    utterances = corpus.orders(plan.count(10, 211), plan.seed)
    judging = _Judging(references(utterances), _reported_text)
    rows = plan.store.start(name, plan.about(impairments=str(impairments)))
    toml, files = agents.script_agent(plan.settings, agents.orders_script())
    async with running_gateway(toml, files) as gateway:
        for part in batched(utterances, _TURNS_PER_CALL):
            trace = await attempt(gateway, _talk(part), impairments)
            _keep(rows, trace, judging, name)


async def llm(plan: Plan) -> None:
    """Natural requests, a language model of 300 ms to the first token."""
    utterances = corpus.orders(plan.count(4, 120), plan.seed + 1)
    texts = references(utterances)
    rows = plan.store.start("llm", plan.about(first_token_ms=FIRST_TOKEN_MS, token_ms=TOKEN_MS))
    answer = LlmAnswer(agents.LLM_REPLY, first_token_ms=FIRST_TOKEN_MS, token_ms=TOKEN_MS)
    async with LlmServer(default=answer) as server:
        toml, files = agents.llm_agent(plan.settings, server.base_url)
        async with running_gateway(toml, files) as gateway:
            for part in batched(utterances, _TURNS_PER_CALL):
                server.requests.clear()
                trace = await attempt(gateway, _talk(part, settle_ms=1000))
                judging = _Judging(texts, lambda said: _requested_text(server.completions, said))
                _keep(rows, trace, judging, "llm")


async def cloud(plan: Plan) -> None:
    """Natural requests, engines behind a network with known times, for each `turn.by`."""
    utterances = corpus.orders(plan.count(4, 100), plan.seed + 3)
    texts = references(utterances)
    rows = plan.store.start(
        "cloud",
        plan.about(
            recognizer_ms=RECOGNIZER_MS,
            first_token_ms=FIRST_TOKEN_MS,
            token_ms=TOKEN_MS,
            voice_ms=VOICE_MS,
        ),
    )
    answer = LlmAnswer(agents.LLM_REPLY, first_token_ms=FIRST_TOKEN_MS, token_ms=TOKEN_MS)
    by_name = [texts[one.name] for one in utterances]
    for by in plan.settings.get("turn.by", "gateway recognizer both").split():
        flux, voice = TimedFlux(utterances, by_name), TimedVoice()
        async with LlmServer(default=answer) as server, voice, flux.running():
            engines = {"stt": flux.settings(), "tts": voice.settings()}
            settings = {**plan.settings, "turn.by": by}
            toml, files = agents.llm_agent(settings, server.base_url, engines)
            async with running_gateway(toml, files) as gateway:
                for part in batched(utterances, _TURNS_PER_CALL):
                    server.requests.clear()
                    trace = await attempt(gateway, _talk(part, settle_ms=1000))
                    judging = _Judging(
                        texts, lambda said, s=server: _requested_text(s.completions, said)
                    )
                    _keep(rows, trace, judging, by)
        for problem in flux.problems + voice.problems:
            rows.fail(f"{by}: {problem}")


async def slots(plan: Plan) -> None:
    """Answers that the dialogue expects: yes/no, menu, telephone numbers, spelled names."""
    rows = plan.store.start("slots", plan.about())
    count = plan.count(1, 40)
    calls: dict[str, list[tuple[Utterance, ...]]] = {
        kind: batched(await corpus.spoken(texts, plan.count(3, 100)), _TURNS_PER_CALL)
        for kind, texts in corpus.ANSWERS.items()
    }
    # A number that was not understood would stay half-filled: each has a call of its own.
    calls["phone"] = batched(corpus.phone_numbers(count, plan.seed), 1)
    calls["name"] = batched(await corpus.spelled_names(count, plan.seed), 1)
    toml, files = agents.script_agent(plan.settings, agents.slot_script())
    async with running_gateway(toml, files) as gateway:
        for kind, parts in calls.items():
            recall = digit_recall if kind == "phone" else None
            known = {one.name: one.text for part in parts for one in part}
            judging = _Judging(known, _reported_text, recall)
            key = scenario.Press(digits=agents.SLOT_KEYS[kind])
            for part in parts:
                trace = await attempt(gateway, [scenario.WaitForBot(), key, *_talk(part)])
                _keep(rows, trace, judging, kind)


async def loss(plan: Plan) -> None:
    """The same requests over a bad network."""
    fewer = Plan(plan.store, plan.full, plan.count(3, 60), plan.settings, plan.seed)
    await gap(fewer, "gap_loss", BAD_NETWORK)


async def four(plan: Plan) -> None:
    """Four calls at once in one worker, and the same requests one call at a time."""
    count = plan.count(4, 104)
    utterances = corpus.orders(count, plan.seed + 2)
    judging = _Judging(references(utterances), _reported_text)
    rows = plan.store.start("four", plan.about())
    toml, files = agents.script_agent(plan.settings, agents.orders_script())
    async with running_gateway(toml, files) as gateway:
        each = max(1, min(_TURNS_PER_CALL, count // 4))
        calls = list(batched(utterances, each))
        for group in batched(calls, 4):
            for trace in await asyncio.gather(*(attempt(gateway, _talk(part)) for part in group)):
                _keep(rows, trace, judging, "four")
        for part in batched(utterances, _TURNS_PER_CALL):
            _keep(rows, await attempt(gateway, _talk(part)), judging, "one")


def _talk(utterances: Sequence[Utterance], settle_ms: int = 700) -> list[Part]:
    """Say each when the bot has been quiet for a while."""
    wait = scenario.WaitForBot(silence_ms=settle_ms, timeout_s=12.0)
    parts: list[Part] = [wait]
    for one in utterances:
        parts += [one, wait]
    return parts


def _keep(rows: Rows, trace: Trace | str, judging: _Judging, variant: str) -> None:
    if isinstance(trace, str):
        rows.fail(trace)
        progress(f"{variant}: a call failed: {trace}")
        return
    found = [_row(said, trace, judging, variant) for said in trace.said]
    rows.add(*found)
    if any(row["fate"] != "clean" for row in found):
        rows.keep(trace.bundle)
    fates = [row["fate"] for row in rows.rows if row["variant"] == variant]
    bad = {name: fates.count(name) for name in ("false_start", "cut_off", "unanswered")}
    gaps = [r["gap_ms"] for r in rows.rows if r["variant"] == variant and r["gap_ms"]]
    middle = f"{median(gaps):.0f} ms" if gaps else "no answer"
    progress(f"{variant}: {len(fates)} turns, median gap {middle}, {bad}")


def _row(said: Said, trace: Trace, judging: _Judging, variant: str) -> Row:
    answer = answer_to(said.instants, trace.bot, said.limit_ns)
    standing = [turn for turn in said.reported if not getattr(turn, "reopened", False)]
    last = standing[-1] if standing else None
    reference, heard = judging.references[said.utterance.name], judging.final_text(said)
    if judging.recall is None:
        recall = 1.0 if len(standing) == 1 else 0.0
    else:
        split = answer.early or len(standing) > 1
        judge = judging.recall if split or judging.recall is digit_recall else count_recall
        recall = None if heard is None else round(judge(reference, heard), 3)
    row: dict[str, Any] = {
        "variant": variant,
        "name": said.utterance.name,
        "fate": fate(answer, recall, len(standing)),
        "gap_ms": answer.gap_ms,
        "gateway_gap_ms": last.response_gap_ms if last else None,
        "share_ms": last.gateway_share_ms if last else None,
        "early": answer.early,
        "early_stop_ms": answer.early_stop_ms,
        "overlap_ms": answer.overlap_ms,
        "parts": len(standing),
        "reopened": len(said.reported) - len(standing),
        "recall": recall,
        "reference": reference,
        "heard": heard,
        "speculative": getattr(last, "speculative", None),
        "slowest_stage": getattr(last, "slowest_stage", None),
        "call": trace.record.call_id,
    }
    return row | {f"{name}_ms": getattr(last, f"{name}_ms", None) for name in STAGES}


def _reported_text(said: Said) -> str | None:
    texts = [turn.caller_text for turn in said.reported if turn.caller_text]
    return texts[-1] if texts else None


def _requested_text(requests: Sequence[Seen], said: Said) -> str | None:
    """What the last request of the turn asks for: its user messages after the last answer."""
    until_s = said.limit_ns / 1e9
    mine = [r for r in requests if said.turn.speech_start_ns / 1e9 < r.at_s < until_s]
    if not mine:
        return None
    words: list[str] = []
    for message in reversed(mine[-1].body.get("messages") or []):
        if message.get("role") == "assistant":
            break
        if message.get("role") == "user":
            words.insert(0, str(message.get("content")))
    return " ".join(words)
