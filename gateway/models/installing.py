"""A model from its sources into its folder, all of it or nothing."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from gateway.models.catalogue import Model, ModelFile
from gateway.models.fetching import FetchFailed, Progress, copy, fetch
from gateway.models.store import Fetched, fetched, folder_of, write_record

_LARGEST_BYTES = 8_000_000_000
"""Of what an archive may hold, unpacked."""


def install(
    name: str,
    model: Model,
    source: Path | None,
    progress: Callable[[ModelFile], Progress],
    *,
    trust_first: bool,
) -> Fetched:
    """Fetch, verify and unpack a model whose licence was accepted.

    Args:
        name: in the catalogue.
        model: of that name.
        source: a folder with its files, or its only file; None = the network.
        progress: makes the report for one file.
        trust_first: take a file whose checksum the catalogue does not know, and record it.

    Raises:
        FetchFailed: reports what to do; an earlier copy stays as it was.
    """
    unknown = [file.name for file in model.files if not file.sha256]
    known = fetched(name)
    if unknown and known is None and not trust_first:
        raise FetchFailed(
            f"the catalogue does not know the checksum of {', '.join(unknown)}: add --trust-first"
            " to take what the source sends, and to record its checksum for later"
        )
    folder = folder_of(name)
    work = folder.with_name(f".{name}.partial")
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchFailed(f"{work}: {error}; name another folder in GATEWAY_MODELS_DIR") from error
    sums = {}
    for file in model.files:
        before = known.sha256.get(file.name, "") if known else ""
        wanted = file.model_copy(update={"sha256": file.sha256 or before})
        sums[file.name] = _got(wanted, work, source, progress(file))
    for file in model.files:
        if file.is_archive:
            _unpack(work / file.name, work)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    record = Fetched(name, model.licence, at, sums)
    write_record(work, record)
    _replace(folder, work)
    return record


def _got(file: ModelFile, work: Path, source: Path | None, progress: Progress) -> str:
    if source is None:
        return fetch(file, work, progress)
    given = source / file.name if source.is_dir() else source
    if not given.is_file():
        raise FetchFailed(f"{given}: no such file; the model needs {file.name} from {file.url}")
    return copy(file, given, work, progress)


def _replace(folder: Path, work: Path) -> None:
    """Give the whole model its name; what was there before goes."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    work.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _unpack(archive: Path, into: Path) -> None:
    """Unpack, without the one folder that an archive may hold everything in; then remove it."""
    try:
        with zipfile.ZipFile(archive) as packed:
            for member, target in _members(packed):
                path = into / target
                path.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(member) as data, path.open("wb") as out:
                    shutil.copyfileobj(data, out)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        archive.unlink()
        raise FetchFailed(f"{archive.name} is no archive that can be read: {error}") from error
    except OSError as error:
        raise FetchFailed(f"{archive.name} could not be unpacked: {error}") from error
    archive.unlink()


def _members(packed: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, Path]]:
    files = [info for info in packed.infolist() if not info.is_dir()]
    size = sum(info.file_size for info in files)
    if size > _LARGEST_BYTES:
        raise FetchFailed(f"{packed.filename} would unpack to {size} bytes: not a model")
    paths = [PurePosixPath(info.filename) for info in files]
    tops = {path.parts[0] for path in paths}
    is_one = len(tops) == 1 and all(len(path.parts) > 1 for path in paths)
    for info, path in zip(files, paths, strict=True):
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename:
            raise FetchFailed(f"{packed.filename} names a file outside of its folder: {path}")
        yield info, Path(*path.parts[1:]) if is_one else Path(path)
