"""A run in which many tests pass only on their second try fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import too_many_reruns

pytest_plugins = ["pytester"]

FLAKY = """
import pytest

tries = []

@pytest.mark.flaky(reruns=1)
@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    tries.append(number)
    assert number >= {flaky} or tries.count(number) == 2
"""


@pytest.mark.parametrize(
    ("reruns", "finished", "fails"),
    [(0, 1000, False), (1, 10, False), (2, 10, True), (10, 1000, False), (11, 1000, True)],
)
def test_the_share_that_fails_a_run(reruns, finished, fails):
    stats = {"rerun": [None] * reruns, "passed": [None] * finished}
    assert too_many_reruns(stats) is fails


@pytest.mark.parametrize(("workers", "flaky", "code"), [(0, 1, 0), (2, 2, 1)])
def test_a_run_with_second_tries(pytester, monkeypatch, flaky, code, workers):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makeconftest("from tests.conftest import *  # noqa: F403")
    pytester.makepyfile(FLAKY.format(tests=10, flaky=flaky))
    result = pytester.runpytest_subprocess("-n", str(workers), "-p", "no:cacheprovider")
    assert result.ret == code
    result.stdout.fnmatch_lines(["*second tries*", "*test_it*"])
