"""Whether a call is recorded from its first sample on, before its agent is known to talk."""

from __future__ import annotations

import pytest

from gateway.config.dialplans import Answer, Say, Talk
from gateway.config.models import AgentConfig, GatewayConfig
from gateway.process.worker_calls import begins_recorded

CONFIG = GatewayConfig(agents={"open": AgentConfig(), "private": AgentConfig(record=False)})
SAY = Say(text="Welcome.")


@pytest.mark.parametrize(
    ("steps", "is_recorded"),
    [
        ((Answer(), Talk(agent="private")), False),
        ((Talk(agent="private"),), False),
        ((Answer(), Talk(agent="open")), True),
        ((Answer(), SAY, Talk(agent="private")), True),  # the announcement is recorded
        ((Answer(),), True),
        ((), True),
    ],
)
def test_it_depends_on_who_talks_first(steps, is_recorded):
    assert begins_recorded(steps, CONFIG) is is_recorded
