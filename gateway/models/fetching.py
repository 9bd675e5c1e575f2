"""One file of a model from its address to the disk: resumed, verified, with a progress report."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2

from gateway.errors import GatewayError
from gateway.models.catalogue import ModelFile

Progress = Callable[[int, int], None]
"""Is told the bytes so far and the bytes of all, 0 = not known."""

_BLOCK_BYTES = 1 << 20
_MOST_REDIRECTS = 5
_TIMEOUT_S = 30.0
"""Without a byte."""
_PARTIAL, _WHOLE, _BEYOND = 206, 200, 416


class FetchFailed(GatewayError):  # noqa: N818 (says what is wrong)
    """A file could not be fetched; what is there of it stays, and the next run goes on."""


def fetch(file: ModelFile, into: Path, progress: Progress) -> str:
    """Fetch a file into a folder, from where an earlier run has stopped; return its SHA-256.

    Raises:
        FetchFailed: reports what to do.
    """
    part = into / f"{file.name}.part"
    with httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client:
        try:
            _download(client, file, part, progress)
        except httpx2.HTTPError as error:
            raise FetchFailed(
                f"{file.url}: {str(error) or type(error).__name__}; {_AGAIN}"
            ) from error
        except OSError as error:
            raise _disk_error(error, file, part) from error
    return _accepted(file, part, into / file.name)


def copy(file: ModelFile, source: Path, into: Path, progress: Progress) -> str:
    """Copy a file that is on this machine already; otherwise as `fetch`."""
    part = into / f"{file.name}.part"
    try:
        size = source.stat().st_size
        with source.open("rb") as given, part.open("wb") as out:
            done = 0
            while block := given.read(_BLOCK_BYTES):
                out.write(block)
                done += len(block)
                progress(done, size)
    except OSError as error:
        raise _disk_error(error, file, part) from error
    return _accepted(file, part, into / file.name)


_AGAIN = "run the command again: it goes on where it has stopped"


def _download(client: httpx2.Client, file: ModelFile, part: Path, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    if file.bytes and have == file.bytes:
        return
    if file.bytes and have > file.bytes:
        part.unlink()
        have = 0
    _assert_room(file, part.parent, have)
    headers = {"Range": f"bytes={have}-"} if have else {}
    # No compression: lengths and ranges are those of the file.
    headers["Accept-Encoding"] = "identity"
    with _opened(client, file.url, headers) as response:
        if response.status_code == _BEYOND:  # it is whole, or another file than before
            if not file.sha256:
                part.unlink()
            return
        if response.status_code not in {_WHOLE, _PARTIAL}:
            raise FetchFailed(f"{file.url}: HTTP {response.status_code} {response.reason_phrase}")
        if response.status_code == _WHOLE:
            have = 0
        _write(response, file, part, have, progress)


def _write(
    response: httpx2.Response, file: ModelFile, part: Path, have: int, progress: Progress
) -> None:
    length = int(response.headers.get("Content-Length", 0))
    whole = file.bytes or (have + length if length else 0)
    done = have
    with part.open("ab" if have else "wb") as out:
        for block in response.iter_raw():  # as it comes: what was cut is kept to its last byte
            out.write(block)
            done += len(block)
            if whole and done > whole:
                out.close()
                part.unlink()
                raise FetchFailed(f"{file.url} sends more than {whole} bytes: it is another file")
            progress(done, whole)
    if whole and done < whole:
        raise FetchFailed(f"{file.url}: the connection ended at {done} of {whole} bytes; {_AGAIN}")


class _opened:  # noqa: N801 - a context manager
    """A streamed answer behind its redirects, which never leave HTTPS."""

    def __init__(self, client: httpx2.Client, url: str, headers: dict[str, str]) -> None:
        self._client, self._url, self._headers = client, url, headers

    def __enter__(self) -> httpx2.Response:
        url = self._url
        for _ in range(_MOST_REDIRECTS + 1):
            request = self._client.build_request("GET", url, headers=self._headers)
            self._response = self._client.send(request, stream=True)
            if not self._response.has_redirect_location:
                return self._response
            self._response.close()
            target = urljoin(url, self._response.headers["Location"])
            if urlsplit(self._url).scheme == "https" and urlsplit(target).scheme != "https":
                raise FetchFailed(f"{self._url} leads to {target}, which is not HTTPS")
            url = target
        raise FetchFailed(f"{self._url}: more than {_MOST_REDIRECTS} redirects")

    def __exit__(self, *_: object) -> None:
        self._response.close()


def _accepted(file: ModelFile, part: Path, target: Path) -> str:
    """Verify what was fetched and give it its name; a wrong file is removed."""
    with part.open("rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    if file.sha256 and found != file.sha256:
        size = part.stat().st_size
        part.unlink()
        raise FetchFailed(
            f"{file.name} is not the file that the catalogue names (SHA-256 {found}, {size} bytes;"
            f" expected {file.sha256}): it was removed"
        )
    part.replace(target)
    return found


def _assert_room(file: ModelFile, folder: Path, have: int) -> None:
    needed = file.bytes - have
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FetchFailed(_no_room(folder, f"{needed} bytes are missing, {free} are free"))


def _disk_error(error: OSError, file: ModelFile, part: Path) -> FetchFailed:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return FetchFailed(_no_room(part.parent, f"while {file.name} was written"))
    return FetchFailed(f"{file.name}: {error}")


def _no_room(folder: Path, detail: str) -> str:
    return (
        f"the disk of {folder} is full ({detail}): make room, or name another folder in"
        f" GATEWAY_MODELS_DIR; then {_AGAIN}"
    )
