"""The folder of rendered files."""

import stat

from gateway.edge import folder


def test_every_change_is_seen_by_who_compares_whole_seconds(tmp_path):
    folder.prepare(tmp_path)
    seconds = []
    for text in "abc":
        assert folder.write(tmp_path, {"db/users": text}) == {"db/users"}
        seconds.append(int((tmp_path / "db" / "users").stat().st_mtime))
    assert seconds == sorted(set(seconds))
    assert not folder.write(tmp_path, {"db/users": "c"})


def test_nobody_else_may_read_a_file(tmp_path):
    folder.prepare(tmp_path)
    folder.write(tmp_path, {"db/users": "a"})
    folder.write(tmp_path, {"db/users": "b"})
    assert stat.S_IMODE((tmp_path / "db" / "users").stat().st_mode) == 0o600
