from pathlib import Path

import pytest

from danlu.common.files import write_json
from danlu.common.strict import to_mapping
from danlu.corpus.store import CorpusSummary, SourceSummary
from danlu.pipeline.entropy import source_entropy
from danlu.tokens.build import TokensSummary


def _write(folder: Path, heldout: dict[str, SourceSummary]) -> None:
    write_json(folder / "corpus.json", to_mapping(CorpusSummary({}, heldout, {}, {}, {}, {})))
    write_json(folder / "tokens.json", to_mapping(TokensSummary(512, "", 1000, 10, 2000, 100, 2, 300)))


def test_bytes_become_tokens(tmp_path: Path) -> None:
    _write(tmp_path, {"toy": SourceSummary(2, 300, 0.5, "exact")})
    assert source_entropy(tmp_path, tmp_path) == (pytest.approx(150 / 100), "exact")


def test_one_upper_bound_makes_the_whole_one(tmp_path: Path) -> None:
    _write(tmp_path, {"a": SourceSummary(1, 100, 0.5, "exact"), "b": SourceSummary(1, 200, 0.25, "upper")})
    assert source_entropy(tmp_path, tmp_path) == (pytest.approx(100 / 100), "upper")


def test_one_unknown_source_makes_it_unknown(tmp_path: Path) -> None:
    _write(tmp_path, {"a": SourceSummary(1, 100, 0.5, "exact"), "b": SourceSummary(1, 200)})
    assert source_entropy(tmp_path, tmp_path) is None
