"""Order and limits of waiting segments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.recognizer.queue import DecodeQueue, Dropped, Job


def job(number, *, stream=1, final=False, peer="a"):
    return Job(peer, number, stream, final, b"")


def drain(queue):
    order = []
    while (run := queue.start_next()) is not None:
        order.append(run.job.id)
        queue.finish(run)
    return order


def test_finals_overtake_partials_and_keep_their_order():
    queue = DecodeQueue()
    for entry in (job(1, stream=1), job(2, stream=2, final=True), job(3, stream=3, final=True)):
        assert queue.put(entry) == []
    assert drain(queue) == [2, 3, 1]


def test_newer_partial_replaces_the_older_of_its_stream_only():
    queue = DecodeQueue()
    first, other = job(1), job(2, peer="b")
    queue.put(first)
    queue.put(other)
    assert queue.put(job(3)) == [Dropped(first, "replaced")]
    assert drain(queue) == [2, 3]


def test_final_replaces_what_waits_of_its_own_stream_and_no_other():
    queue = DecodeQueue()
    partial, final = job(1), job(2, final=True)
    queue.put(partial)
    assert queue.put(final) == [Dropped(partial, "replaced")]
    assert queue.put(job(3, stream=2, final=True)) == []
    assert queue.put(job(4, final=True)) == [Dropped(final, "replaced")]
    assert drain(queue) == [3, 4]


def test_a_final_that_runs_is_finished():
    queue = DecodeQueue()
    queue.put(job(1, final=True))
    run = queue.start_next()
    assert queue.put(job(2, final=True)) == []
    assert not queue.should_stop(run)
    assert queue.finish(run)


def test_full_queue_refuses_partials_and_gives_their_place_to_finals():
    queue = DecodeQueue(capacity=2)
    oldest = job(1, stream=1)
    queue.put(oldest)
    queue.put(job(2, stream=2, final=True))
    late = job(3, stream=3)
    assert queue.put(late) == [Dropped(late, "busy")]
    assert queue.put(job(4, stream=4, final=True)) == [Dropped(oldest, "busy")]
    refused = job(5, stream=5, final=True)
    assert queue.put(refused) == [Dropped(refused, "busy")]
    assert drain(queue) == [2, 4]


def test_cancelled_stream_is_forgotten_even_while_it_runs():
    queue = DecodeQueue()
    queue.put(job(1, final=True))
    queue.put(job(2, stream=2))
    run = queue.start_next()
    assert not queue.should_stop(run)
    queue.cancel("a", 1)
    assert queue.should_stop(run)
    assert not queue.finish(run)
    queue.cancel("a", 2)
    assert drain(queue) == []


def test_lost_connection_takes_all_its_streams_with_it():
    queue = DecodeQueue()
    for entry in (job(1), job(3, peer="b"), job(2, stream=2, final=True)):
        queue.put(entry)
    queue.cancel("a")
    assert drain(queue) == [3]


def test_running_partial_gives_way_to_a_final_but_not_to_a_partial():
    queue = DecodeQueue()
    queue.put(job(1))
    run = queue.start_next()
    queue.put(job(2, stream=2))
    assert not queue.should_stop(run)
    queue.put(job(3, stream=3, final=True))
    assert queue.should_stop(run)
    assert queue.finish(run)
    run = queue.start_next()
    assert not queue.should_stop(run)


def test_partials_are_refused_while_others_wait_for_finals():
    queue = DecodeQueue()
    queue.put(job(1, final=True))
    run = queue.start_next()
    own, other = job(2), job(3, stream=2)
    assert queue.put(own) == []
    assert queue.put(other) == [Dropped(other, "busy")]
    queue.cancel("a", 1)
    assert queue.put(other) == []
    queue.finish(run)
    queue.put(job(4, stream=3, final=True))
    assert queue.put(job(5)) == [Dropped(job(5), "busy")]


def test_a_caller_who_goes_on_waits_for_nothing():
    queue = DecodeQueue()
    for entry in (job(1, final=True), job(2, stream=2, final=True), job(3, peer="b", final=True)):
        queue.put(entry)
    run = queue.start_next()
    assert queue.goes_on("a", 1) == []
    assert queue.should_stop(run)  # others wait for what they need
    assert queue.finish(run) == job(1)
    assert queue.goes_on("a", 2) == [Dropped(job(2, stream=2, final=True), "replaced")]
    assert drain(queue) == [3]


def test_what_nobody_waits_for_is_finished_when_nothing_else_is_to_do():
    queue = DecodeQueue()
    queue.put(job(1, final=True))
    run = queue.start_next()
    queue.goes_on("a", 1)
    queue.put(job(2, stream=2))
    assert not queue.should_stop(run)
    assert queue.finish(run) == job(1)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.booleans()), max_size=60),
    st.integers(1, 8),
)
def test_every_job_is_decoded_or_dropped_exactly_once(entries, capacity):
    queue = DecodeQueue(capacity)
    dropped = []
    for number, (peer, stream, final) in enumerate(entries):
        dropped += queue.put(job(number, stream=stream, final=final, peer=peer))
        assert len(queue) <= capacity
    order = drain(queue)
    assert sorted(order + [entry.job.id for entry in dropped]) == list(range(len(entries)))


def test_two_decoders_take_two_turns_and_never_the_same():
    queue = DecodeQueue()
    for entry in (job(1, final=True), job(2, stream=2, final=True)):
        queue.put(entry)
    first, second = queue.start_next(), queue.start_next()
    assert (first.job.id, second.job.id) == (1, 2)
    queue.put(job(3, final=True))
    queue.put(job(4, stream=3, final=True))
    assert not queue.should_stop(first)
    queue.finish(second)
    assert queue.start_next().job.id == 4  # the turn of 3 is still being decoded
    queue.finish(first)
    assert queue.start_next().job.id == 3


def test_a_partial_gives_way_to_the_final_of_its_own_turn():
    queue = DecodeQueue()
    queue.put(job(1))
    run = queue.start_next()
    queue.put(job(2, final=True))
    assert queue.start_next() is None
    assert queue.should_stop(run)
    queue.finish(run)
    assert queue.start_next().job.id == 2
