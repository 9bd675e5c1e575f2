"""Every provider behind a network leads calls while its vendor fails at random.

The short form; `python -m benchmarks storm` makes a thousand turns with each.
"""

from __future__ import annotations

import pytest

from gateway.providers import registry
from gateway.providers.registry import Kind
from tests.support.doubles import DOUBLES, Doubled
from tests.support.storm import Storm

KINDS: tuple[Kind, ...] = ("stt", "llm", "tts", "s2s")
SPEED = 40.0


def test_every_provider_behind_a_network_has_a_double():
    known = {(each.kind, each.name) for each in DOUBLES}
    for kind in KINDS:
        for info in registry.available(kind):
            fields = registry.load(kind, info.name).Settings.model_fields
            module = registry.load(kind, info.name)
            is_preset = hasattr(module, "BASE")
            is_remote = not is_preset and {"base_url", "api_key"} & set(fields)
            assert not is_remote or (kind, info.name) in known, (
                f"{kind}/{info.name} needs a line in tests/support/doubles.py"
            )


LATER = {"google", "gemini", "openai_responses", "hume"}
"""gRPC has a clock of its own, which the fast loop does not know; the others were not tried yet."""
ON_SOCKETS = [each for each in DOUBLES if each.name not in LATER and each.kind != "s2s"]
"""Engines have their own tests of calls with faults (`test_engine_faults_in_calls.py`)."""


@pytest.mark.parametrize("doubled", ON_SOCKETS, ids=str)
def test_calls_go_on_whatever_the_vendor_does(doubled: Doubled):
    outcome = Storm(doubled, seed=5, turns=4, turns_per_call=2).run(SPEED)
    assert outcome.turns >= 4
    assert outcome.unanswered == []
    assert outcome.left == []
    assert outcome.problems == []
