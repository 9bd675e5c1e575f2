import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from gateway.config.models import LogConfig
from gateway.telemetry.logging import (
    _values,
    call_context,
    configure_logging,
    hide_in_logs,
    masked,
    redact,
)


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    _values.clear()


def lines_of(level: str = "info", form: str = "json", **context: str) -> io.StringIO:
    out = io.StringIO()
    configure_logging(LogConfig(level=level, format=form), out, **context)
    return out


def test_a_json_line_has_context_time_and_level() -> None:
    out = lines_of(worker="0")
    log = structlog.get_logger("gateway.sip")
    with call_context(call_id="c1", trunk="carrier"):
        log.info("call_answered", codec="PCMU")
    log.info("idle")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "call_answered",
        "codec": "PCMU",
        "call_id": "c1",
        "trunk": "carrier",
        "worker": "0",
        "level": "info",
        "logger": "gateway.sip",
    }
    assert "call_id" not in second


def test_libraries_take_the_same_way() -> None:
    out = lines_of(worker="0")
    logging.getLogger("uvicorn.error").warning("bad %s", "request")
    logging.getLogger("httpx").info("HTTP Request: GET ...")
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["event"] == "bad request"
    assert json.loads(line)["worker"] == "0"


@pytest.mark.parametrize(("level", "seen"), [("debug", 3), ("info", 2), ("error", 0)])
def test_the_level_filters(level: str, seen: int) -> None:
    out = lines_of(level)
    log = structlog.get_logger()
    log.debug("a")
    log.info("b")
    logging.getLogger("x").warning("c")
    assert len(out.getvalue().splitlines()) == seen


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_hides_keys_and_configured_secrets(form: str) -> None:
    hide_in_logs(["plain-Password", "postgresql://user:s3cret%2Fword@host/db", "abc"])
    out = lines_of(form=form)
    try:
        raise ValueError("sk-0123456789abcdef plain-Password s3cret/word")  # noqa: TRY301
    except ValueError:
        structlog.get_logger().exception("failed", said="s3cret%2Fword", letters="abcd")
    logging.getLogger("library").error("refused %s", {"why": ["plain-Password"]})
    text = out.getvalue()
    assert "ValueError" in text
    assert "Traceback" in text
    assert "abcd" in text  # too short to be hidden everywhere
    for secret in ("sk-0123456789", "plain-Password", "s3cret"):
        assert secret not in text


def test_statements_with_their_values_are_never_logged() -> None:
    out = lines_of("debug")
    logging.getLogger("sqlalchemy.engine.Engine").info("INSERT ... ('+4930123456',)")
    logging.getLogger("uvicorn.error").debug("shown when asked for")
    assert "+4930123456" not in out.getvalue()


def test_an_exception_is_one_line_and_hides_keys() -> None:
    out = lines_of()
    try:
        raise ValueError("refused: Bearer abc.def-123")  # noqa: TRY301
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = out.getvalue().splitlines()
    assert "ValueError" in json.loads(line)["exception"]
    assert "abc.def" not in line


def test_auto_is_json_away_from_a_terminal_and_console_is_for_people() -> None:
    out = lines_of(form="auto")
    structlog.get_logger().info("x")
    json.loads(out.getvalue())
    out = lines_of(form="console")
    structlog.get_logger().info("call_answered", codec="PCMU")
    assert "call_answered" in out.getvalue()
    assert not out.getvalue().startswith("{")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("password", "hunter2"),
        ("sip_password", "hunter2"),
        ("api_key", "hunter2"),
        ("apiKeys", ["hunter2"]),
        ("Authorization", 'Digest response="hunter2"'),
        ("token", "hunter2"),
        ("client_secret", "hunter2"),
        ("trunk", SecretStr("hunter2")),
        ("settings", {"llm": [{"api_key": "hunter2"}]}),
        ("message", 'REGISTER ...\r\nProxy-Authorization: Digest response="hunter2"\r\nVia: x'),
        ("headers", ["authorization: bearer hunter2"]),
        ("problem", "401 for key sk-hunter2hunter2"),
    ],
)
def test_secrets_are_hidden(key: str, value: object) -> None:
    assert "hunter2" not in str(redact(None, "info", {"event": "x", key: value}))


def test_what_is_no_secret_stays() -> None:
    event = {"event": "turn", "llm_first_token": 12, "tokens": 7, "passed": True, "key": "5"}
    event |= {"message": "Via: x\r\nCall-ID: y", "turns": [1, 2], "password": ""}
    assert redact(None, "info", dict(event)) == event


def test_endless_nesting_ends() -> None:
    nested: dict[str, object] = {}
    nested["self"] = nested
    redact(None, "info", {"event": "x", "nested": nested})


@pytest.mark.parametrize(
    ("party", "shown"),
    [
        ("+4930123456", "...456"),
        ("100", "..."),
        ("", ""),
        ("alice-b", "...e-b"),
        ("sip:+4930123456@pbx.example", "...456@pbx.example"),
    ],
)
def test_a_log_does_not_say_whose_number_it_is(party: str, shown: str) -> None:
    assert masked(party) == shown
