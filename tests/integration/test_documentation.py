"""What README.md and docs/ print is true: commands parse and run, examples are accepted."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import gateway.providers.tts
from gateway.__main__ import _parser
from gateway.cli.check import run as check
from gateway.script.loader import parse_script

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "measurements").glob("*.md")),
    *sorted((ROOT / "docs" / "reference").glob("*.md")),
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:gateway|make) [^`\n]*)`")
PROGRAM = re.compile(r"^(?:\$ |VAR=\S+ )*(?:\.venv/bin/)?(gateway|make) (.+)$")
PLAN = '[[contexts.default.extensions]]\nname = "all"\nsteps = [{ hang_up = {} }]\n'


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(str(page.relative_to(ROOT)), line, found[1], found[2])


def commands() -> Iterator[tuple[str, str]]:
    """Yield where it stands and each command line of `gateway` or `make`, without its comment."""
    for block in blocks():
        if block.language in {"", "sh", "shell", "console"}:
            for number, line in enumerate(block.text.splitlines(), block.line + 1):
                if found := PROGRAM.match(line):
                    command = f"{found[1]} {found[2]}"
                    yield f"{block.page}:{number}", re.split(r"\s+#\s|\s{3,}", command)[0]
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        yield from ((str(page.relative_to(ROOT)), found[1]) for found in INLINE.finditer(text))


COMMANDS = sorted(set(commands()))
PYTHON = [block for block in blocks() if block.language == "python"]
SPEECH_SERVER = next(b.text for b in PYTHON if b.page == "docs/add-a-provider.md")
"""The provider that it prints."""
MY_TOOLS = next(b.text for b in PYTHON if b.page == "README.md")
TOML = [block for block in blocks() if block.language == "toml"]


def arguments(command: str) -> list[str]:
    """Split a command; `...` stands for more of the same, `|` for a choice."""
    words = shlex.split(command)[1:]
    return [word.partition("|")[0] for word in words if word not in {"...", "…"}]


@pytest.mark.parametrize(("where", "command"), COMMANDS, ids=lambda value: value)
def test_a_printed_command_is_understood(where, command):
    words = arguments(command)
    if command.startswith("make "):
        unknown = [word for word in words if not in_makefile(word)]
        assert not unknown, f"{where}: the Makefile has no {unknown}"
    elif len(words) > 1 or words[0].startswith("-"):
        _parser().parse_args(words)
    else:  # `gateway call` names the command, and wants more
        with pytest.raises(SystemExit, match=r"^0$"):
            _parser().parse_args([*words, "--help"])


def in_makefile(word: str) -> bool:
    name, is_variable, _ = word.partition("=")
    used, target = rf"\$\({name}\)|^ifdef {name}$", rf"^(?:[\w ]+ )?{name}(?: [\w ]+)?:"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return bool(re.search(used if is_variable else target, makefile, re.MULTILINE))


@pytest.mark.parametrize("block", TOML, ids=str)
def test_a_printed_configuration_is_accepted(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugged_in = [*gateway.providers.tts.__path__, str(tmp_path)]
    monkeypatch.setattr(gateway.providers.tts, "__path__", plugged_in)
    (tmp_path / "speech_server.py").write_text(SPEECH_SERVER)
    for name in re.findall(r"\$\{(\w+)\}", block.text):
        monkeypatch.setenv(name, "x" * 32)
    table = tomllib.loads(block.text)
    if "project" in table:
        assert "gateway.tts" in table["project"]["entry-points"]  # a plug-in's pyproject.toml
    elif "intents" in table:
        parse_script(block.text, block.page)
    else:
        lay_out(tmp_path, block, table)
        assert check(tmp_path / "gateway.toml") == 0, capsys.readouterr().out


def lay_out(folder: Path, block: Block, table: dict[str, Any]) -> None:
    """Write what a page prints, with the files of the operator's that it names."""
    (folder / "my_tools.py").write_text(MY_TOOLS)
    (folder / "privacy.py").write_text("def hide(text: str) -> str:\n    return text\n")
    (folder / "desk.toml").write_text(printed("docs/script.md", "[main]"))
    (folder / "calls").mkdir()
    for model in re.findall(r'"vosk", model = "([^"]+)"', block.text):
        (folder / model).mkdir()
        (folder / "vosk.py").touch()  # the package is not installed here, the check looks for it
    plans = folder / "dialplans"
    plans.mkdir()
    if "contexts" not in table:
        (plans / "plan.toml").write_text(PLAN)
        rest = '\n[workers]\nedge = "kamailio"\n' if needs_edge(block, table) else ""
        (folder / "gateway.toml").write_text(block.text + rest)
        return
    contexts = table["contexts"].values()
    included = {name for context in contexts for name in context.get("include", ())}
    stubs = [PLAN.replace("default", name) for name in included]
    (plans / "plan.toml").write_text("\n".join([block.text, *stubs]))
    agents = re.findall(r'talk = "([\w-]+)"', block.text)
    head = '[dialplan]\ndirectory = "dialplans"\n'
    if "@pbx.example" in block.text:
        head += '[outgoing]\nallow = ["sip:*@pbx.example"]\n'
        agents = agents or ["front-desk"]
    (folder / "gateway.toml").write_text(head + "".join(f"[agents.{name}]\n" for name in agents))


def printed(page: str, beginning: str) -> str:
    return next(b.text for b in TOML if b.page == page and b.text.startswith(beginning))


def needs_edge(block: Block, table: dict[str, Any]) -> bool:
    return block.page == "docs/edge.md" and "workers" not in table


def test_the_replay_that_the_manual_shows_prints_what_it_shows(capfd):
    page = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    command, shown = re.findall(r"^```\n\$ (gateway replay [^\n]*)\n(.*?)^```", page, re.M | re.S)[
        0
    ]
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    printed = [line for line in done.stdout.splitlines() if not line.startswith("  note:")]
    assert printed == shown.splitlines(), done.stderr


LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")


def test_a_link_leads_somewhere():
    """To a file that exists, and to a section that it has."""
    missing = [
        f"{page.name}: {target}#{section}"
        for page in (*PAGES, *(ROOT / "deploy").glob("*.md"))
        for target, section in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
        if "://" not in target and not leads(page, target, section)
    ]
    assert not missing


def leads(page: Path, target: str, section: str) -> bool:
    file = page.parent / target if target else page
    return file.exists() and (not section or section in sections(file))


def sections(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as web pages of Git servers make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_answers_its_questions():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    questions = re.findall(r"^(\d+)\. (.+)$", index, re.MULTILINE)
    assert [int(number) for number, _ in questions] == list(range(1, len(questions) + 1))
    assert len(questions) >= 30
    assert all("](" in question for _, question in questions)


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {target for target, _ in LINK.findall(index.read_text(encoding="utf-8"))}
    pages = {str(page.relative_to(index.parent)) for page in PAGES if page.parent != ROOT}
    assert pages - {"README.md"} <= linked


def test_a_printed_path_exists():
    """Folders and files of the tree that a page names in code font."""
    places = re.compile(
        r"(?<!Save this as )`((?:gateway|tests|docs|deploy|benchmarks|sipp-scenarios)/[\w./-]+)`"
    )
    missing = {
        f"{page.name}: {found}"
        for page in PAGES
        for found in places.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / found).exists() and not (ROOT / f"{found}.py").exists()
    }
    assert not missing


def test_every_package_is_in_the_table_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (ROOT / "gateway").glob("*/__init__.py")}
    assert not {name for name in packages if f"`gateway/{name}`" not in readme}


def test_a_printed_module_can_be_run():
    """`python -m NAME` in a page."""
    printed = {
        name
        for page in PAGES
        for name in re.findall(r"python -m ([\w.]+)", page.read_text(encoding="utf-8"))
    }
    assert len(printed) > 5
    assert not {name for name in printed if find_spec(name) is None}


def test_decisions_have_numbers_of_their_own():
    numbers = [path.name[:4] for path in (ROOT / "docs" / "decisions").glob("*.md")]
    assert len(set(numbers)) == len(numbers)
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        title = path.read_text(encoding="utf-8").splitlines()[0]
        assert title.startswith(f"# {int(path.name[:4])}. "), path.name
