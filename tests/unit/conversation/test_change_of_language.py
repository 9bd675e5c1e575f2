"""A call goes on in another language: recognizer, voice, texts and words of turn taking follow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import CommandError
from gateway.languages import closest, language_name
from gateway.providers.contracts import AssistantMessage, TextDelta, ToolResult, UserMessage
from tests.support.scene import GREETING, Scene, call_of, text

ASKED = "Do you speak German?"


def german(*answers: Any, heard: Any = (), **config: Any) -> Scene:
    given = {"instructions": "Speak German.", "turn": {"language": "de"}} | config
    return Scene(list(answers), list(heard), name="bot", language="de", **given)


def test_the_api_changes_the_language_between_two_turns():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(7)
        scene.call.control.change_language("de-AT", "api")
        await scene.says(9, 0.5)
        await scene.until(14)

    other = german(text("Um ", "15:30 ", "Uhr."), heard=["Wann?"])
    scene = Scene([text("At 3:30 PM.")], [ASKED], others=[other]).play(script)
    assert scene.history == (
        AssistantMessage(GREETING), UserMessage(ASKED), AssistantMessage("At 3:30 PM."),
        UserMessage("Wann?"), AssistantMessage("Um 15:30 Uhr."),
    )  # fmt: skip
    assert scene.synthesizer.texts[-1] == "At three thirty P M."
    assert other.synthesizer.texts[-1] == "Um fünfzehn Uhr dreißig."
    assert other.llm.requests[0].instructions == "Speak German."
    changes = scene.data("language_changes")
    assert changes == [{"language": "de", "before": "en", "by": "api"}]
    taking = [data["settings"]["turn"]["language"] for data in scene.data("turn_taking_started")]
    assert taking == ["en", "de"]


def test_an_agent_changes_the_language_when_it_has_said_so_and_goes_on_in_it():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(12)

    changes = call_of("change_language", '{"language": "de"}')
    other = german(text("Guten ", "Tag, ", "womit ", "kann ", "ich ", "helfen?"))
    says = [TextDelta("One moment, I go on in German."), changes]
    scene = Scene([says], [ASKED], others=[other]).play(script)
    said = [m.text for m in scene.history if isinstance(m, AssistantMessage)]
    assert said[-1] == "Guten Tag, womit kann ich helfen?"
    (result,) = [m for m in other.llm.requests[0].messages if isinstance(m, ToolResult)]
    status = "done: the caller hears and speaks German from now on"
    assert json.loads(result.content) == {"status": status}
    assert scene.data("language_changes") == [{"language": "de", "before": "en", "by": "agent"}]


def test_the_recognizers_detection_changes_it_and_the_turn_is_answered_in_it():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(7)
        await scene.says(9, 0.5)
        await scene.until(14)

    heard = ["I am here.", "Haben Sie morgen offen?"]
    other = german(text("Ja, bis 18 Uhr."))
    scene = Scene([text("Hello.")], heard, others=[other], detect_language=True)
    scene.recognizer.languages = {heard[0]: "en", heard[1]: "de"}
    scene.play(script)
    assert scene.history[-2:] == (UserMessage(heard[1]), AssistantMessage("Ja, bis 18 Uhr."))
    changes = scene.data("language_changes")
    assert changes == [{"language": "de", "before": "en", "by": "recognizer"}]
    assert other.synthesizer.texts[-1] == "bis achtzehn Uhr."


def test_there_and_back_again():
    async def script(scene: Scene) -> None:
        await scene.until(4)
        scene.call.control.change_language("de", "api")
        await scene.says(6, 0.5)
        await scene.until(10)
        scene.call.control.change_language("en", "api")
        scene.call.control.change_language("en", "api")  # it is: nothing happens
        await scene.says(12, 0.5)
        await scene.until(16)

    other = german(text("Ja."), heard=["Hallo?"])
    scene = Scene([text("Yes.")], ["Hello?"], others=[other]).play(script)
    assert [data["language"] for data in scene.data("language_changes")] == ["de", "en"]
    assert scene.history[-2:] == (UserMessage("Hello?"), AssistantMessage("Yes."))


def test_a_language_that_the_agent_does_not_speak_is_refused():
    async def script(scene: Scene) -> None:
        await scene.until(3)
        control = scene.call.control
        with pytest.raises(CommandError, match='does not speak "fr"; it may: de, en'):
            control.change_language("fr", "api")
        control.agents = frozenset()
        with pytest.raises(CommandError, match="no agent talks"):
            control.change_language("de", "api")

    scene = Scene([], others=[german()]).play(script)
    assert scene.data("language_changes") == []


@pytest.mark.parametrize(
    ("tag", "known", "found"),
    [
        ("de", ("de", "en"), "de"),
        ("de-CH", ("de-AT", "de-CH", "de"), "de-CH"),
        ("DE-ch", ("de-AT", "en"), "de-AT"),
        ("fr", ("de", "en"), None),
        ("pt-PT", ("pt-BR", "pt"), "pt"),
    ],
)
def test_the_closest_language(tag, known, found):
    assert closest(tag, known) == found


def test_names_of_languages():
    assert [language_name(t) for t in ("de", "pt-BR", "xx-1")] == [
        "German", "Portuguese (Brazil)", "xx-1",
    ]  # fmt: skip
