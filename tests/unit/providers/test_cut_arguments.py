"""Arguments of a tool call that end too soon."""

from __future__ import annotations

import pytest

from gateway.providers.tool_text import object_of


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{"day": "saturday"', {"day": "saturday"}),  # servers that drop the last bracket
        ('{"days": ["saturday"]', {"days": ["saturday"]}),
        ('{"amount": 1', None),  # of 100?
        ('{"day": "saturday", "guests": 1', None),
        ('{"sure": tru', None),
        ('{"day": "satur', None),
    ],
)
def test_only_a_value_that_is_whole_is_completed(written, read):
    assert object_of(written) == read
