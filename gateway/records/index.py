"""Finds finished calls by walking the records directory, newest first."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from gateway.errors import CallNotFound
from gateway.records.files import AUDIO_FILE, CALL_FILE, read_call
from gateway.records.ids import bundle_folder, is_call_id
from gateway.records.model import CallRecord
from gateway.records.repair import day_folders

CACHE_CALLS = 1000


class CallIndex:
    """Reads bundles; what has been read once is kept while its file does not change."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cache: OrderedDict[str, tuple[int, CallRecord]] = OrderedDict()

    def list_calls(self, limit: int = 50) -> list[CallRecord]:
        """Give up to `limit` finished calls, newest first; unreadable ones are left out."""
        calls: list[CallRecord] = []
        for day in day_folders(self._directory):
            for name in _call_ids(day):
                if len(calls) >= limit:
                    return calls
                record = self._read(day / name)
                if record is not None and record.state == "finished":
                    calls.append(record)
        return calls

    def get(self, call_id: str) -> CallRecord:
        """Give one call, active or finished, as its `call.json` says.  Raises CallNotFound."""
        record = self._read(self.folder(call_id))
        if record is None:
            raise CallNotFound(404, f"no call {call_id}")
        return record

    def audio_file(self, call_id: str) -> Path:
        """Give the path of a call's `audio.wav`.  Raises CallNotFound."""
        path = self.folder(call_id) / AUDIO_FILE
        if not path.is_file():
            raise CallNotFound(404, f"no audio of call {call_id}")
        return path

    def folder(self, call_id: str) -> Path:
        """Give the bundle's folder, existing or not.  Raises CallNotFound for a bad id."""
        if not is_call_id(call_id):
            raise CallNotFound(404, "not a call id")
        return bundle_folder(self._directory, call_id)

    def _read(self, folder: Path) -> CallRecord | None:
        call_id = folder.name
        try:
            changed_ns = (folder / CALL_FILE).stat().st_mtime_ns
            kept = self._cache.get(call_id)
            if kept is not None and kept[0] == changed_ns:
                self._cache.move_to_end(call_id)
                return kept[1]
            record = read_call(folder)
        except (OSError, ValueError):
            return None
        self._cache[call_id] = (changed_ns, record)
        self._cache.move_to_end(call_id)
        if len(self._cache) > CACHE_CALLS:
            self._cache.popitem(last=False)
        return record


def _call_ids(day: Path) -> list[str]:
    try:
        return sorted(filter(is_call_id, (folder.name for folder in day.iterdir())), reverse=True)
    except OSError:
        return []
