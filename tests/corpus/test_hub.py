import sys
from types import SimpleNamespace
from typing import Any

import pytest

from danlu.common.errors import DanluError
from danlu.corpus.hub import parse_hub_item, read_hub
from danlu.corpus.records import Fault


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        ("hf:imdb", ("imdb", None, "train")),
        ("hf:owner/name", ("owner/name", None, "train")),
        ("hf:owner/name:validation", ("owner/name", None, "validation")),
        ("hf:owner/name/zh-cn:train[:10%]", None),
        ("hf:owner/name/20231101.zh:test", ("owner/name", "20231101.zh", "test")),
        ("hf:", None),
        ("hf:a/b/c/d", None),
    ],
)
def test_name_configuration_and_split(item: str, parts: tuple[str, str | None, str] | None) -> None:
    if parts is None:
        with pytest.raises(DanluError, match="does not name a data set"):
            parse_hub_item(item)
    else:
        assert parse_hub_item(item) == parts


def _fake(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]] | Exception) -> list[tuple[Any, ...]]:
    calls = []

    def load_dataset(name: str, config: str | None, *, split: str, streaming: bool) -> list[dict[str, Any]]:
        calls.append((name, config, split, streaming))
        if isinstance(rows, Exception):
            raise rows
        return rows

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return calls


def test_rows_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _fake(monkeypatch, [{"text": "one"}, {"text": None}, {"id": 3}, {"text": "four"}])
    item = "hf:owner/name/en:test"
    assert list(read_hub(item, item, "text")) == [
        ("one", f"{item}, row 1"),
        Fault(item, "unreadable_record", f"{item}, row 2"),
        Fault(item, "no_text_field", f"{item}, row 3"),
        ("four", f"{item}, row 4"),
    ]
    assert calls == [("owner/name", "en", "test", True)]


def test_a_missing_field_a_wrong_name_and_a_missing_extra_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch, [{"content": "one", "id": 1}])
    with pytest.raises(DanluError, match="no field 'text'; fields: content, id"):
        list(read_hub("hf:a/b", "hf:a/b", "text"))
    _fake(monkeypatch, FileNotFoundError("Dataset 'a/b' doesn't exist on the Hub"))
    with pytest.raises(DanluError, match="doesn't exist"):
        list(read_hub("hf:a/b", "hf:a/b", "text"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DanluError, match=r"danlu\[hub\]"):
        list(read_hub("hf:a/b", "hf:a/b", "text"))
