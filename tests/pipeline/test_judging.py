"""Openings of held-out documents, and how many of them a training continues."""

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from danlu.common.errors import DanluError
from danlu.pipeline.judging import openings
from danlu.pipeline.recipe import deciding
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.shards import TokenWriter
from danlu.tokens.tokenizer import train_tokenizer
from danlu.training.config import TrainingConfig

ENGLISH = "The furnace is hot and the gold is cold, says the book. " * 3
CHINESE = "炉火正红，丹未成，书上这样说。" * 6


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([ENGLISH, CHINESE] * 4, 320)


def heldout(folder: Path, tokenizer: Tokenizer, documents: list[tuple[str, str]]) -> TokenDataset:
    writer = TokenWriter(folder, 328, 0, "none", keep_spans=True)
    for text, source in documents:
        writer.write(tokenizer.encode(text).ids, len(text.encode()), source)
    writer.close()
    return TokenDataset(folder)


def test_each_source_and_script_has_its_turn_however_rare(tokenizer: Tokenizer, tmp_path: Path) -> None:
    many = [(f"{number} {ENGLISH}", "a") for number in range(30)]
    few = [(f"{number}{CHINESE}", "a") for number in range(3)] + [(f"b {ENGLISH}", "b")]
    found = heldout(tmp_path, tokenizer, many + few)
    texts = openings(found, tokenizer, 6)
    assert len(texts) == len(set(texts)) == 6
    assert sum("炉" in text for text in texts) == 2
    assert any(text.startswith("b ") for text in texts)
    assert openings(found, tokenizer, 6) == texts
    assert all("\N{REPLACEMENT CHARACTER}" not in text for text in texts)
    whole = [text for text, _ in many + few]
    assert all(any(each.startswith(text) and len(text) < len(each) for each in whole) for text in texts)


def test_one_document_gives_one_opening(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert len(openings(heldout(tmp_path, tokenizer, [(ENGLISH, "a")]), tokenizer)) == 1


def test_how_many_are_continued_decides_nothing_about_the_training() -> None:
    assert deciding(replace(TrainingConfig(), samples=0)) == deciding(TrainingConfig())
    with pytest.raises(DanluError, match="samples is -1"):
        TrainingConfig(samples=-1)
