"""A voice keeps one session for a conversation; one that is lost costs a sentence at most."""

from gateway.errors import ProviderTimeout
from gateway.providers.contracts import AssistantMessage
from tests.support.scene import GREETING, LONG, Scene, text
from tests.support.voice_sessions import WithSessions


def scene_of(voice, **more):
    replies = [text("One."), text("Two."), text("Three.")]
    return Scene(replies, ["A.", "B.", "C."], voice=voice, **more)


async def two_turns(scene):
    await scene.says(3, 0.5)
    await scene.says(8, 0.5)
    await scene.until(13)


def words(scene):
    return [each.text for each in scene.history if isinstance(each, AssistantMessage)]


def test_one_session_says_all_sentences_of_a_conversation():
    voice = WithSessions()
    scene = scene_of(voice).play(two_turns)
    assert voice.call_ids == [scene.line.facts.call_id]
    assert voice.said == [[GREETING, "One.", "Two."]]
    assert voice.closed == 1


def test_a_call_in_which_nothing_is_said_opens_and_closes_it():
    voice = WithSessions()

    async def script(scene):
        await scene.until(3)

    scene_of(voice, greeting="").play(script)
    assert (len(voice.call_ids), voice.closed) == (1, 1)


def test_a_session_that_was_lost_in_silence_is_replaced_before_the_next_sentence():
    voice = WithSessions()

    async def script(scene):
        await scene.until(5)
        voice.sessions[0].is_usable = False
        await scene.says(6, 0.5)
        await scene.until(10)

    scene = scene_of(voice).play(script)
    assert voice.said == [[GREETING], ["One."]]
    assert not scene.data("engine_failed")


def test_a_sentence_that_has_not_begun_is_said_in_another_session():
    voice = WithSessions()

    async def script(scene):
        await scene.until(5)
        voice.sessions[0].fails_at = ("One.", 0)
        await two_turns(scene)

    scene = scene_of(voice, fallback="Sorry.").play(script)
    assert voice.said == [[GREETING], ["One.", "Two."]]
    assert words(scene) == [GREETING, "One.", "Two."]
    assert not scene.data("engine_failed")
    assert voice.closed == 2


def test_a_session_that_is_lost_in_mid_sentence_costs_that_sentence():
    voice = WithSessions()

    async def script(scene):
        await scene.until(2.5)
        voice.sessions[0].fails_at = ("One.", 2)
        await two_turns(scene)

    scene_of(voice, fallback="Sorry.").play(script)
    assert voice.said == [[GREETING], ["Sorry.", "Two."]]


def test_a_voice_that_is_silent_for_too_long_is_not_waited_for_twice():
    voice = WithSessions()

    async def script(scene):
        await scene.until(2.5)
        voice.sessions[0].fails_at = ("One.", 0)
        voice.sessions[0].error = ProviderTimeout("acme", "nothing came")
        await two_turns(scene)

    scene_of(voice, fallback="Sorry.").play(script)
    assert voice.said == [[GREETING], ["Sorry.", "Two."]]


def test_a_session_that_cannot_be_opened_is_opened_with_the_next_reply():
    voice = WithSessions(fails_to_open=1)
    scene_of(voice, fallback="Sorry.").play(two_turns)
    assert voice.said == [["Sorry.", "One.", "Two."]]
    assert (len(voice.call_ids), voice.closed) == (2, 1)


async def interrupted(scene):
    await scene.says(3, 0.5)
    await scene.says(5.5, 1.5)
    await scene.until(12)


def long_scene(voice):
    voice.pace_s = 0.045
    return Scene([text(LONG), text("Two.")], ["A.", "Stop it now."], voice=voice)


def test_after_a_cut_the_next_reply_has_another_session():
    voice = WithSessions()
    scene = long_scene(voice).play(interrupted)
    assert scene.data("interrupted")
    assert voice.said[1:] == [["Two."]]
    assert voice.closed == 2


def test_a_session_that_can_be_cut_is_kept():
    voice = WithSessions(can_be_cut=True)
    scene = long_scene(voice).play(interrupted)
    assert scene.data("interrupted")
    assert len(voice.sessions) == 1
    assert voice.said[0][-1] == "Two."


def test_who_hangs_up_in_mid_sentence_opens_no_other_session():
    voice = WithSessions()

    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(5.5)

    long_scene(voice).play(script)
    assert (len(voice.call_ids), voice.closed) == (1, 1)
