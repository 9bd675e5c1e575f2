"""A recognizer's session lives as long as the conversation and is replaced when it fails."""

import asyncio
from contextlib import asynccontextmanager

from gateway.errors import ProviderRejected, ProviderUnavailable
from gateway.providers.contracts import UserMessage
from tests.support.fake_line import ScriptedRecognizer
from tests.support.scene import Scene, text


class WithSessions(ScriptedRecognizer):
    """Knows when its sessions were opened and closed."""

    def __init__(self, *texts, takes_s=0.5, fails=()):
        super().__init__(*texts)
        self.takes_s = takes_s
        self.fails = list(fails)
        self.sessions = []
        self.closed = 0

    @asynccontextmanager
    async def open_session(self, call_id):
        self.sessions.append(call_id)
        await asyncio.sleep(self.takes_s)
        if self.fails and self.fails.pop(0):
            raise ProviderUnavailable("acme", "no connection")
        try:
            yield self
        finally:
            self.closed += 1


async def two_turns(scene):
    await scene.says(3, 0.5)
    await scene.says(8, 0.5)
    await scene.until(13)


def said(scene):
    return [each.text for each in scene.history if isinstance(each, UserMessage)]


def test_one_session_serves_all_turns_of_a_conversation():
    recognizer = WithSessions("One.", "Two.")
    scene = Scene([text("Yes."), text("No.")], recognizer).play(two_turns)
    assert said(scene) == ["One.", "Two."]
    assert recognizer.sessions == [scene.line.facts.call_id]
    assert recognizer.closed == 1


def test_words_that_come_before_the_session_is_there_are_not_lost():
    recognizer = WithSessions("One.", "Two.", takes_s=4.0)
    scene = Scene([text("Yes."), text("No.")], recognizer).play(two_turns)
    assert said(scene) == ["One.", "Two."]


def test_a_session_that_cannot_be_opened_is_opened_with_the_next_turn():
    recognizer = WithSessions("One.", fails=[True])
    scene = Scene([text("Yes.")], recognizer, fallback="Sorry.").play(two_turns)
    assert scene.synthesizer.texts[1:] == ["Sorry.", "Yes."]
    assert len(recognizer.sessions) == 2


def test_a_session_that_is_lost_in_a_turn_is_replaced_and_hears_the_turn_again():
    recognizer = WithSessions(ProviderUnavailable("acme", "gone"), "One.", "Two.")
    scene = Scene([text("Yes."), text("No.")], recognizer, fallback="Sorry.").play(two_turns)
    assert said(scene) == ["One.", "Two."]
    assert scene.synthesizer.texts[1:] == ["Yes.", "No."]
    assert (len(recognizer.sessions), recognizer.closed) == (2, 2)
    assert "recognizer_lost" in scene.notes.kinds()


def test_one_that_is_lost_twice_in_a_turn_is_told_to_the_caller():
    gone = ProviderUnavailable("acme", "gone")
    recognizer = WithSessions(gone, gone, "Two.")
    scene = Scene([text("Yes.")], recognizer, fallback="Sorry.").play(two_turns)
    assert scene.synthesizer.texts[1:] == ["Sorry.", "Yes."]
    assert (len(recognizer.sessions), recognizer.closed) == (3, 3)


def test_what_is_not_worth_another_try_is_told_at_once():
    recognizer = WithSessions(ProviderRejected("acme", "wrong key"), "Two.")
    scene = Scene([text("Yes.")], recognizer, fallback="Sorry.").play(two_turns)
    assert scene.synthesizer.texts[1:] == ["Sorry.", "Yes."]
    assert len(recognizer.sessions) == 2


def test_nobody_speaks_and_the_session_fails_without_a_word():
    recognizer = WithSessions(fails=[True])

    async def script(scene):
        await scene.until(3)

    Scene((), recognizer).play(script)
    assert recognizer.sessions
