"""What a client of the call asks for goes to the conversation in order, however close together."""

from __future__ import annotations

from unittest.mock import Mock

from gateway.call.steering import (
    Answer,
    AnswerAside,
    AnswerRequest,
    CallObserver,
    CancelAnswer,
    ClientAsks,
    Steer,
)
from gateway.providers.contracts import UserMessage
from tests.support.scene import Scene, text

WRITTEN = AnswerRequest(messages=(UserMessage("One?"),), speaks=False)


def asks(scene: Scene, *wishes: Steer) -> None:
    for wish in wishes:
        scene.call.inbox.put_nowait(ClientAsks(wish))


def test_a_written_answer_that_is_cancelled_at_once_leaves_nothing():
    client = Mock(spec=CallObserver)

    async def script(scene: Scene) -> None:
        scene.call.observers.append(client)
        await scene.until(3)
        asks(scene, Answer(WRITTEN), CancelAnswer())
        await scene.until(4)
        asks(scene, Answer(WRITTEN))
        await scene.until(6)

    Scene([text("Yes."), text("Two.")]).play(script)
    _greeting, *ends = [call.args[0] for call in client.bot_turn_over.call_args_list]
    assert [(end.heard, end.cause) for end in ends] == [("", "client"), ("Yes.", "")]


def test_an_answer_beside_the_conversation_is_counted_as_any():
    async def script(scene: Scene) -> None:
        await scene.until(3)
        asks(scene, Answer(WRITTEN))
        await scene.until(4)
        asks(scene, AnswerAside("key", AnswerRequest(messages=(UserMessage("Two?"),))))
        await scene.until(6)

    scene = Scene(
        [text("Yes."), text("No.")],
        llm_limits={"input_cost_per_million": 1.0},
    )
    scene.llm.counts_tokens = True
    scene.play(script)
    (model,) = [each for each in scene.call.usage.values() if each.kind == "llm"]
    assert (model.provider, model.requests) == (scene.config.llm.label, 2)
    assert all(request.late_usage is not None for request in scene.llm.requests)
