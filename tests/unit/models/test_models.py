"""Models are fetched only when asked for, resumed, verified, and whole or not there at all."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway.models.catalogue as catalogue_of
from gateway.__main__ import main
from gateway.models import folder_of, is_here, known_models
from gateway.models.catalogue import ModelFile
from gateway.models.fetching import FetchFailed, fetch
from gateway.models.store import fetched
from tests.support.model_server import ModelServer, model_server

DATA = bytes(range(256)) * 2000
SUM = hashlib.sha256(DATA).hexdigest()


def archive(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as out:
        for name in names:
            out.writestr(name, name)
    return packed.getvalue()


ARCHIVE = archive("model-1/am/final.mdl", "model-1/conf/model.conf")
FILES = {
    "m.bin": DATA, "m.zip": ARCHIVE, "out.zip": archive("../evil"), "bad.zip": b"PK no archive",
}  # fmt: skip


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setenv("GATEWAY_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    with model_server(dict(FILES)) as served:
        entries = {
            "whole": ("m.bin", "m.bin", SUM),
            "other": ("m.bin", "m.bin", "0" * 64),
            "packed": ("m.zip", "m.zip", ""),
            "escapes": ("out.zip", "out.zip", ""),
            "broken": ("bad.zip", "bad.zip", ""),
            "cut": ("cut/1000/m.bin", "m.bin", SUM),
        }
        text = "".join(
            f'[{name}]\nwhat = "w"\nprovider = "vosk"\nlanguages = ["de"]\nlicence = "MIT"\n'
            f'licence_url = "https://example.com/licence"\n[[{name}.files]]\n'
            f'url = "{served.url}/{path}"\nname = "{file}"\n'
            f'bytes = {len(DATA) if file == "m.bin" else 0}\nsha256 = "{sha}"\n'
            for name, (path, file, sha) in entries.items()
        )
        (tmp_path / "catalogue.toml").write_text(text)
        monkeypatch.setattr(catalogue_of, "_FILE", tmp_path / "catalogue.toml")
        known_models.cache_clear()
        yield served
    known_models.cache_clear()


def get(*arguments: str) -> int:
    return main(["models", "get", *arguments])


def test_the_catalogue_of_the_package_is_whole():
    models = known_models()
    assert {"whisper-base", "vosk-small-de"} <= set(models)
    for model in models.values():
        assert model.licence
        assert all(file.url.startswith("https://") for file in model.files)
        assert len({file.name for file in model.files}) == len(model.files)
    assert all(file.sha256 and file.bytes for file in models["whisper-base"].files)


def test_a_model_is_fetched_once_its_licence_is_accepted(server, capsys):
    assert get("whole") == 1
    assert "licence MIT (https://example.com/licence): read it, then add --accept" in (
        capsys.readouterr().err
    )
    assert server.ranges == []  # nothing behind the user's back
    assert get("whole", "--accept") == 0
    shown = capsys.readouterr()
    assert "m.bin: 0.5 of 0.5 MB" in shown.err
    assert 'stt = { provider = "vosk", model = "whole" }' in shown.out
    assert (folder_of("whole") / "m.bin").read_bytes() == DATA
    found = fetched("whole")
    assert found is not None
    assert (found.licence, found.sha256) == ("MIT", {"m.bin": SUM})
    assert main(["models", "list"]) == 0
    assert "whole    here" in capsys.readouterr().out
    assert main(["models", "path", "whole"]) == 0
    assert capsys.readouterr().out.strip() == str(folder_of("whole"))


def test_what_was_cut_goes_on_where_it_stopped(server, capsys):
    assert get("cut", "--accept") == 1
    assert "run the command again: it goes on where it has stopped" in capsys.readouterr().err
    assert not is_here("cut")
    assert get("cut", "--accept") == 0
    assert server.ranges[0] == ""
    assert server.ranges[1].startswith("bytes=")
    assert 0 < int(server.ranges[1][6:-1]) <= 1000
    assert (folder_of("cut") / "m.bin").read_bytes() == DATA


def test_a_file_with_another_checksum_is_removed(server, capsys):
    assert get("other", "--accept") == 1
    error = capsys.readouterr().err
    assert f"SHA-256 {SUM}" in error
    assert "expected 0000" in error
    assert not list(folder_of("other").parent.rglob("m.bin*"))


def test_an_unknown_checksum_is_recorded_with_a_flag_only_and_kept(server, capsys):
    assert get("packed", "--accept") == 1
    assert "does not know the checksum of m.zip: add --trust-first" in capsys.readouterr().err
    assert get("packed", "--accept", "--trust-first") == 0
    assert f"recorded SHA-256 of m.zip: {hashlib.sha256(ARCHIVE).hexdigest()}" in (
        capsys.readouterr().out
    )
    assert (folder_of("packed") / "am" / "final.mdl").read_text() == "model-1/am/final.mdl"
    assert not (folder_of("packed") / "m.zip").exists()
    server.files["m.zip"] = archive("model-1/other")
    assert get("packed", "--accept") == 1  # it must be the same from now on
    assert (folder_of("packed") / "am" / "final.mdl").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [("escapes", "names a file outside of its folder"), ("broken", "is no archive")],
)
def test_a_hostile_archive_writes_nothing(server, capsys, tmp_path, name, says):
    assert get(name, "--accept", "--trust-first") == 1
    assert says in capsys.readouterr().err
    assert not is_here(name)
    assert not list(tmp_path.rglob("evil"))


def test_an_offline_machine_takes_files(server, capsys, tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    assert get("whole", "--accept", "--from", str(given)) == 1
    assert "the model needs m.bin from http://127.0.0.1" in capsys.readouterr().err
    (given / "m.bin").write_bytes(DATA[:-1])
    assert get("whole", "--accept", "--from", str(given)) == 1
    (given / "m.bin").write_bytes(DATA)
    assert get("whole", "--accept", "--from", str(given / "m.bin")) == 0
    assert is_here("whole")
    assert server.ranges == []


def test_a_configured_model_that_is_missing_names_the_command(server, capsys, tmp_path):
    config = tmp_path / "gateway.toml"
    engines = (
        'stt = { provider = "vosk", model = "packed" }\n'
        'llm = { provider = "openai", model = "m", base_url = "http://127.0.0.1:9/v1" }\n'
    )
    config.write_text(f'[agents.a]\nlanguage = "de"\n{engines}')
    assert main(["check", "--config", str(config)]) == 78
    error = capsys.readouterr().err
    assert "the model packed is not here: gateway models get packed --accept --trust-first" in error
    assert "licence: MIT" in error
    other = config.read_text().replace('stt = { provider = "vosk", model = "packed" }\n', "")
    stt = 'stt = { provider = "deepgram", api_key = "k" }\n'
    own = '[agents.a.languages.fr]\nstt = { provider = "vosk", model = "packed" }\n'
    config.write_text(f"{other}{stt}{own}")
    assert main(["check", "--config", str(config)]) == 78
    error = capsys.readouterr().err
    assert "agents.a.languages.fr.stt.model: the model packed is not here" in error
    config.write_text(f'[agents.a]\nlanguage = "de"\n{engines}')
    (tmp_path / "packed").mkdir()  # a folder beside the configuration goes before the catalogue
    main(["check", "--config", str(config)])
    assert "gateway models get" not in capsys.readouterr().err


def file_at(url: str, sha256: str = SUM, size: int = len(DATA)) -> ModelFile:
    return ModelFile(url=url, name="m.bin", bytes=size, sha256=sha256)


def test_redirects_are_followed_but_not_for_ever(server, tmp_path):
    assert fetch(file_at(f"{server.url}/to/m.bin"), tmp_path, print) == SUM
    with pytest.raises(FetchFailed, match="more than 5 redirects"):
        fetch(file_at(f"{server.url}/loop"), tmp_path, print)


@pytest.mark.parametrize(("path", "says"), [("broken", "HTTP 500"), ("nowhere", "HTTP 404")])
def test_what_the_server_refuses_is_told(server, tmp_path, path, says):
    with pytest.raises(FetchFailed, match=says):
        fetch(file_at(f"{server.url}/{path}"), tmp_path, print)


def test_a_server_without_ranges_sends_it_all_again(server, tmp_path):
    (tmp_path / "m.bin.part").write_bytes(b"x" * 100)
    assert fetch(file_at(f"{server.url}/plain/m.bin"), tmp_path, print) == SUM


def test_a_file_that_is_too_long_is_another_file(server, tmp_path):
    with pytest.raises(FetchFailed, match="sends more than 1000 bytes"):
        fetch(file_at(f"{server.url}/m.bin", size=1000), tmp_path, print)
    assert not list(tmp_path.glob("m.bin*"))


def test_a_whole_part_is_only_verified(server, tmp_path):
    (tmp_path / "m.bin.part").write_bytes(DATA)
    assert fetch(file_at(f"{server.url}/m.bin"), tmp_path, print) == SUM
    assert server.ranges == []


def test_a_full_disk_is_named(server, tmp_path):
    (tmp_path / "m.bin.part").symlink_to("/dev/full")
    with pytest.raises(FetchFailed, match=r"the disk of .* is full.*GATEWAY_MODELS_DIR"):
        fetch(file_at(f"{server.url}/m.bin"), tmp_path, print)
    with pytest.raises(FetchFailed, match="bytes are missing"):
        fetch(file_at(f"{server.url}/m.bin", size=1 << 62), tmp_path, print)


def test_no_server_is_no_traceback(tmp_path):
    with pytest.raises(FetchFailed, match="run the command again"):
        fetch(file_at("http://127.0.0.1:9/m.bin"), tmp_path, print)


def test_a_broken_record_means_that_it_is_not_here(server):
    assert get("whole", "--accept") == 0
    (folder_of("whole") / "fetched.json").write_text(json.dumps({"name": 1}))
    assert not is_here("whole")
