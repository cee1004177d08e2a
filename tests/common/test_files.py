import errno
import json
from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.common.files import folder_atomic, read_json, sha256_json, write_atomic, write_json, writing


class _Crash(BaseException):
    """Stands for anything that ends a write half-way."""


def test_a_file_is_whole_or_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_atomic(path, "old")

    def crash(*arguments: object) -> None:
        raise _Crash

    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(_Crash):
        write_atomic(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "folder"

    def fill_half() -> None:
        with folder_atomic(target) as temporary:
            (temporary / "half").write_text("x", encoding="utf-8")
            raise _Crash

    with pytest.raises(_Crash):
        fill_half()
    assert not target.exists()
    for content in ("one", "two"):
        with folder_atomic(target) as temporary:
            (temporary / content).write_text(content, encoding="utf-8")
        assert [path.name for path in target.iterdir()] == [content]
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_named_plainly(tmp_path: Path) -> None:
    with (
        pytest.raises(DanluError, match=r"no space left on the disk while writing .*a\.bin"),
        writing(tmp_path / "a.bin"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


class _CheckpointException(BaseException):
    """torch's is not an Exception either."""


def test_a_full_disk_is_named_whoever_met_it(tmp_path: Path) -> None:
    words = "ranks:dict_keys([0])\nRuntimeError: [enforce fail at inline_container.cc:671] . unexpected pos 704 vs 598"
    with (
        pytest.raises(DanluError, match=r"no space left .* writing .*step-000000007"),
        writing(tmp_path / "outer"),
        writing(tmp_path / "step-000000007"),
    ):
        raise _CheckpointException(words)


def test_other_errors_of_the_system_are_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too many"), writing(tmp_path):
        raise OSError(errno.EMFILE, "too many open files")


def test_json_there_and_back(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None], "字": "π"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "字" in (tmp_path / "a.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}"])
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DanluError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_missing_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match=r"there is no file .*a\.json"):
        read_json(tmp_path / "a.json")


def test_a_hash_does_not_depend_on_the_order_of_keys() -> None:
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert sha256_json(one) == sha256_json(other) == sha256_json(json.loads(json.dumps(one)))
    assert sha256_json(one) != sha256_json({**one, "a": 2})
