"""However a file is damaged, the answer is a configuration or a ConfigError with sane lines."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.dialplans import Dialplan
from gateway.config.models import DialplanConfig, GatewayConfig
from gateway.errors import ConfigError
from gateway.setup.loader import load_config, load_dialplan

ROOT = Path(__file__).parents[3]
CONFIG = (ROOT / "gateway.example.toml").read_text(encoding="utf-8").splitlines()
PLAN = (ROOT / "dialplans" / "front-desk.toml").read_text(encoding="utf-8").splitlines()
ENVIRON = {"DESK_PHONE_PASSWORD": "a", "GATEWAY_API_KEY": "b", "SIP_PASSWORD": "c"}
VALUES = [
    "{}", "[]", "[[]]", "[{}]", "{ a = 1 }", "0", "-1", "1e400", "nan", "true", '""', '"${X}"',
    '"${"', '"\\u0000"', "1979-05-27", '["a", 1]', '"x:y"', "'" + "9" * 5000 + "'",
]  # fmt: skip


@st.composite
def damaged(draw, lines):
    lines = list(lines)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
            case 2 | 3:
                key, equals, _ = lines[at].partition("=")
                lines[at] = f"{key}{equals} {draw(st.sampled_from(VALUES))}"
            case _:
                cut = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:cut] + draw(st.sampled_from("[]{}=\"'.#")) + lines[at][cut:]
    return "\n".join(lines)


def check_lines(error: ConfigError, text: str) -> None:
    assert error.problems
    for problem in error.problems:
        assert 0 <= problem.line <= text.count("\n") + 1
        assert problem.text


quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(text=damaged(CONFIG))
def test_a_damaged_configuration(tmp_path, text):
    path = tmp_path / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    (tmp_path / "dialplans").mkdir(exist_ok=True)
    try:
        assert isinstance(load_config(path, ENVIRON), GatewayConfig)
    except ConfigError as error:
        check_lines(error, text)


@quick
@given(text=damaged(PLAN))
def test_a_damaged_dialplan(tmp_path, text):
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    config = GatewayConfig(dialplan=DialplanConfig(directory=tmp_path))
    try:
        assert isinstance(load_dialplan(config, ENVIRON), Dialplan)
    except ConfigError as error:
        check_lines(error, text)
