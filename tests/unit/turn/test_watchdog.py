"""A dead line always ends in a finding; a live one never has any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.models import AgentConfig, FillerConfig, SilenceConfig, TurnConfig
from gateway.turn.events import samples
from gateway.turn.watchdog import Finding, Limits, Watchdog, limits_of

FRAME = 160
LIMITS = Limits(bot_s=0.3, caller_s=0.5)
DEAD = {"bot_audible": False, "caller_speaking": False, "bot_has_floor": False, "is_held": False}


class Run:
    """A watchdog and the audio time that it was told."""

    def __init__(self, limits=LIMITS):
        self.watchdog = Watchdog(limits, 0)
        self.now = 0

    def feed(self, seconds, **state):
        """Pass frames of one state; give what was found as (seconds from here, finding)."""
        found = []
        for frame in range(1, round(seconds * 50) + 1):
            self.now += FRAME
            finding = self.watchdog.advance(self.now, **DEAD | state)
            if finding is not None:
                found.append((frame / 50, finding))
        return found


@pytest.mark.parametrize(("bots", "limit_s"), [(True, 0.3), (False, 0.5)])
def test_a_dead_line_gets_harder_measures_one_after_the_other(bots, limit_s):
    found = Run().feed(4.5 * limit_s, bot_has_floor=bots)
    kinds = [Finding.SAY_FALLBACK, Finding.GIVE_UP, Finding.HANG_UP, Finding.HANG_UP]
    assert [kind for _, kind in found] == kinds
    assert [at for at, _ in found] == pytest.approx(
        [limit_s * n for n in range(1, 5)], abs=0.02 * 5
    )


@pytest.mark.parametrize("sound", ["bot_audible", "caller_speaking", "is_held"])
@pytest.mark.parametrize("bots", [True, False])
def test_sound_and_hold_start_the_wait_again(sound, bots):
    run = Run()
    assert run.feed(0.28, bot_has_floor=bots) == []
    assert run.feed(10, bot_has_floor=bots, **{sound: True}) == []
    assert run.feed(0.28, bot_has_floor=bots) == []


def test_only_the_caller_makes_it_mild_again():
    run = Run()
    assert run.feed(0.6)[0][1] is Finding.SAY_FALLBACK
    assert run.feed(1, bot_audible=True, bot_has_floor=True) == []
    assert run.feed(0.6)[0][1] is Finding.GIVE_UP
    assert run.feed(1, caller_speaking=True) == []
    assert run.feed(0.6)[0][1] is Finding.SAY_FALLBACK


def test_a_caller_who_types_is_there():
    run = Run()
    assert run.feed(0.6)[0][1] is Finding.SAY_FALLBACK
    for _ in range(5):
        run.watchdog.caller_is_there(run.now)
        assert run.feed(0.4) == []
    assert run.feed(0.2)[0][1] is Finding.SAY_FALLBACK


def test_a_floor_that_changes_hands_without_a_sound_is_stuck_too():
    watchdog = Watchdog(LIMITS, 0)
    found = [
        frame / 50
        for frame in range(1, 61)
        if watchdog.advance(frame * FRAME, **DEAD | {"bot_has_floor": frame % 10 < 5})
    ]
    assert found[0] == pytest.approx(LIMITS.total_s, abs=0.02)


states = st.fixed_dictionaries(dict.fromkeys(DEAD, st.booleans()))


@given(
    runs=st.lists(st.tuples(states, st.integers(1, 60)), max_size=40),
    limits=st.builds(Limits, st.floats(0.05, 0.5), st.floats(0.05, 0.5)),
    start=st.integers(0, 10**9),
)
def test_the_line_is_never_dead_for_longer_than_the_limit(runs, limits, start):
    watchdog = Watchdog(limits, start)
    now = alive_at = floor_at = start
    was_bots = False
    for state, frames in runs:
        for _ in range(frames):
            now += FRAME
            finding = watchdog.advance(now, **state)
            is_live = state["bot_audible"] or state["caller_speaking"] or state["is_held"]
            if is_live:
                assert finding is None
            if is_live or finding:
                alive_at = now
            if is_live or finding or state["bot_has_floor"] is not was_bots:
                floor_at, was_bots = now, state["bot_has_floor"]
            limit_s = limits.bot_s if was_bots else limits.caller_s
            assert now - floor_at < samples(limit_s * 1000)
            assert now - alive_at < samples(limits.total_s * 1000)


@given(runs=st.lists(st.tuples(states, st.integers(1, 60)), max_size=20), bots=st.booleans())
def test_whatever_was_before_a_stuck_line_ends(runs, bots):
    run = Run()
    for state, frames in runs:
        run.feed(frames / 50, **state)
    found = run.feed(3 * LIMITS.total_s + 0.1, bot_has_floor=bots)
    assert Finding.HANG_UP in {kind for _, kind in found}


@pytest.mark.parametrize(
    ("config", "bot_s", "caller_s"),
    [
        (AgentConfig(), 6 + 6, 10 + 2 * 1.6 + 6),
        (AgentConfig(filler=FillerConfig(after_ms=0)), 30 + 6, 10 + 2 * 1.6 + 6),
        (AgentConfig(filler=FillerConfig(first=())), 30 + 6, 10 + 2 * 1.6 + 6),
        (AgentConfig(filler=FillerConfig(every_ms=60000)), 30 + 6, 10 + 2 * 1.6 + 6),
        (AgentConfig(tool_timeout_s=60), 6 + 6, 60 + 2 * 1.6 + 6),
        (
            AgentConfig(
                silence=SilenceConfig(reprompt_after_s=20), turn=TurnConfig(dictation_ms=3000)
            ),
            6 + 6,
            20 + 6 + 6,
        ),
    ],
)
def test_the_limits_follow_the_settings(config, bot_s, caller_s):
    limits = limits_of(config)
    assert (limits.bot_s, limits.caller_s) == (pytest.approx(bot_s), pytest.approx(caller_s))


def test_a_silent_caller_is_asked_again_before_the_watchdog_barks():
    config = AgentConfig()
    waits_s = config.silence.reprompt_after_s + config.turn.dictation_ms / 1000
    assert Run(limits_of(config)).feed(waits_s + 4) == []
