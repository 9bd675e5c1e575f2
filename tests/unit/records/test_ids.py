from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.records.ids import bundle_folder, is_call_id, new_call_id, started_at

moments = st.floats(1.6e9, 4e9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(moments)
def test_an_id_tells_its_second_and_its_folder(now: datetime) -> None:
    call_id = new_call_id(now)
    assert is_call_id(call_id)
    assert started_at(call_id) == now.replace(microsecond=0)
    assert bundle_folder(Path("calls"), call_id) == Path("calls", f"{now:%Y-%m-%d}", call_id)


@given(moments, moments)
def test_ids_sort_by_time(first: datetime, second: datetime) -> None:
    if first.replace(microsecond=0) < second.replace(microsecond=0):
        assert new_call_id(first) < new_call_id(second)


def test_ids_are_utc_and_unique() -> None:
    now = datetime(2026, 11, 20, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert new_call_id(now).startswith("20261119-233000-")
    assert len({new_call_id(now) for _ in range(200)}) == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "20261120-132233-9f03ab7",
        "20261120-132233-9f03ab7c/",
        "20261120-132233-9f03ab7c\n",
        "20261120-132233-9F03AB7C",
        "20261399-132233-9f03ab7c",
        "../../etc/passwd",
        "\uff12\uff10261120-132233-9f03ab7c",
    ],
)
def test_anything_else_is_no_id(text: str) -> None:
    assert not is_call_id(text)
    with pytest.raises(ValueError, match="not a call id"):
        bundle_folder(Path("calls"), text)
