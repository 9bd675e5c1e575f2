"""How calls end, and what their records then say; on virtual time, without SIP."""

from __future__ import annotations

import asyncio

import pytest

from gateway.call.line import End
from tests.support.session_call import SessionCall


async def answer_and_stay(call):
    if call.line.facts.direction == "in":
        await call.line.answer()
    await asyncio.sleep(300)
    return End("bot_hung_up", "said all")


async def nothing(call):
    """The other side only listens."""


def ended(call):
    """What the finished record says; it is the one on the disk."""
    assert call.record == call.written
    assert call.record.state == "finished"
    assert call.kinds()[-1] == "call_ended"
    assert call.line.ended is not None
    record = call.record
    return record.end_reason, record.hung_up_by, record.sip_status


def test_a_call_that_is_answered_and_ended_by_its_flow(tmp_path):
    async def flow(call):
        await asyncio.sleep(2)
        await call.line.answer()
        await asyncio.sleep(3)
        return End("bot_hung_up", "said all")

    call = SessionCall(tmp_path, flow).play(nothing)
    assert ended(call) == ("bot_hung_up", "agent", 200)
    assert (call.record.end_text, call.record.codec) == ("said all", "L16")
    assert (call.record.duration_s, call.record.talk_s) == (5.0, 3.0)
    assert call.record.route == "default/main"
    assert call.line.asked_end == End("bot_hung_up", "said all")
    assert call.kinds() == ["listening", "answered", "call_ended"]


def test_a_caller_who_hangs_up(tmp_path):
    async def script(call):
        await call.until(4)
        call.line.go_away()

    call = SessionCall(tmp_path, answer_and_stay).play(script)
    assert ended(call) == ("caller_hung_up", "other_side", 200)
    assert call.record.talk_s == 4.0
    assert call.line.asked_end is None


def test_a_caller_who_does_not_wait_for_the_answer(tmp_path):
    async def flow(call):
        await asyncio.sleep(60)
        raise AssertionError

    async def script(call):
        await call.until(4)
        call.line.go_away(487, "cancelled")

    call = SessionCall(tmp_path, flow).play(script)
    assert ended(call) == ("cancelled", "other_side", 487)
    assert (call.record.answered_at, call.record.talk_s) == (None, None)


def test_a_call_that_is_refused(tmp_path):
    async def flow(call):
        return End("bot_hung_up", "closed", 486)

    call = SessionCall(tmp_path, flow).play(nothing)
    assert ended(call) == ("bot_hung_up", "agent", 486)


def test_a_line_on_which_nothing_arrives_any_more(tmp_path):
    async def script(call):
        await call.until(10)
        call.line.is_silent = True

    call = SessionCall(tmp_path, answer_and_stay, no_media_timeout_s=20).play(script)
    assert ended(call) == ("no_media", "gateway", 200)
    assert 28 <= call.record.talk_s <= 32


def test_a_silent_caller_who_is_being_spoken_to_stays(tmp_path):
    async def flow(call):
        await call.line.answer()
        lane = call.line.outlet.open()
        for _ in range(50 * 30):
            await lane.write(b"\x00\x10" * 160)
        await lane.played_out()
        return End("bot_hung_up")

    async def script(call):
        call.line.is_silent = True

    call = SessionCall(tmp_path, flow, no_media_timeout_s=20).play(script)
    assert ended(call) == ("bot_hung_up", "agent", 200)


def test_a_hold_without_end(tmp_path):
    async def script(call):
        await call.until(10)
        call.line.on_hold = call.line.is_silent = True

    call = SessionCall(tmp_path, answer_and_stay, max_hold_s=60).play(script)
    assert ended(call) == ("max_hold", "gateway", 200)
    assert 69 <= call.record.talk_s <= 71


def test_a_hold_that_ends_is_counted_anew(tmp_path):
    async def script(call):
        for begins in (10, 60, 110):
            await call.until(begins)
            call.line.on_hold = True
            await call.until(begins + 40)
            call.line.on_hold = False

    call = SessionCall(tmp_path, answer_and_stay, max_hold_s=60).play(script)
    assert ended(call) == ("bot_hung_up", "agent", 200)


def test_a_call_that_is_too_long(tmp_path):
    call = SessionCall(tmp_path, answer_and_stay, max_call_s=120).play(nothing)
    assert ended(call) == ("max_duration", "gateway", 200)
    assert 119 <= call.record.talk_s <= 121


def test_time_before_the_answer_does_not_count(tmp_path):
    async def flow(call):
        await asyncio.sleep(100)
        await call.line.answer()
        await asyncio.sleep(100)
        return End("bot_hung_up")

    call = SessionCall(tmp_path, flow, max_call_s=120).play(nothing)
    assert ended(call) == ("bot_hung_up", "agent", 200)


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_flow_that_crashes(tmp_path, is_answered, caplog):
    async def flow(call):
        if is_answered:
            await call.line.answer()
        await asyncio.sleep(1)
        raise ValueError("a bug")

    call = SessionCall(tmp_path, flow).play(nothing)
    reason, by, status = ended(call)
    assert (reason, by, status) == ("crashed", "", 200 if is_answered else 603)
    assert call.record.end_text == "ValueError: a bug"
    assert call.line.asked_end.reason == "crashed"


@pytest.mark.parametrize(("answers_at_s", "status"), [(0, 200), (100, 603)])
def test_the_end_of_the_gateway(tmp_path, answers_at_s, status):
    async def flow(call):
        await asyncio.sleep(answers_at_s)
        return await answer_and_stay(call)

    async def script(call):
        await call.until(5)
        await call.session.hang_up(End("shutdown", "the gateway is shutting down"))

    call = SessionCall(tmp_path, flow).play(script)
    assert ended(call) == ("shutdown", "gateway", status)
    assert call.ended_s == pytest.approx(5.0, abs=0.1)


def test_a_session_that_is_cancelled_leaves_a_complete_record(tmp_path):
    async def flow(call):
        await call.line.answer()
        await asyncio.sleep(2)
        running = asyncio.current_task()
        assert running is not None
        running.cancel()
        await asyncio.sleep(10)
        raise AssertionError

    call = SessionCall(tmp_path, flow).play(nothing)
    assert call.written.end_reason == "shutdown"
    assert call.line.ended is not None


def test_a_tool_that_runs_on_is_in_the_record_and_the_line_is_free_before(tmp_path):
    async def flow(call):
        async def tool():
            await asyncio.sleep(8)

        await call.line.answer()
        call.run_tool(tool())
        await asyncio.sleep(1)
        return End("bot_hung_up")

    async def script(call):
        await call.until(0.9)
        assert call.transport.active_calls() == 1
        await call.until(1.1)
        assert call.transport.active_calls() == 0

    call = SessionCall(tmp_path, flow).play(script)
    assert call.ended_s == pytest.approx(8.0, abs=0.1)
    assert call.record.talk_s == 1.0


# --- placed calls ---


def test_a_placed_call_that_is_accepted(tmp_path):
    async def script(call):
        await call.until(6)
        call.line.accept()

    async def flow(call):
        await asyncio.sleep(2)
        return End("bot_hung_up")

    call = SessionCall(tmp_path, flow).play(script, "out")
    assert ended(call) == ("bot_hung_up", "agent", 200)
    assert (call.record.duration_s, call.record.talk_s) == (8.0, 2.0)


@pytest.mark.parametrize(("status", "reason"), [(486, "busy"), (480, "no_answer"), (404, "failed")])
def test_a_placed_call_that_is_refused(tmp_path, status, reason):
    async def script(call):
        await call.until(3)
        call.line.go_away(status, "No")

    call = SessionCall(tmp_path, answer_and_stay).play(script, "out")
    assert ended(call)[0] == reason
    assert call.record.sip_status == status


def test_a_placed_call_that_only_rings(tmp_path):
    call = SessionCall(tmp_path, answer_and_stay, ring_timeout_s=30).play(nothing, "out")
    assert ended(call)[0] == "no_answer"
    assert call.ended_s == pytest.approx(30.0, abs=0.1)
