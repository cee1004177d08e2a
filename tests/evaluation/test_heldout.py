import math
from pathlib import Path

import numpy as np
import pytest
import torch

from danlu.common.errors import DanluError
from danlu.evaluation.heldout import Evaluation, evaluate_tokens, heldout_evaluator, heldout_rehearsal
from danlu.model.config import ModelConfig
from danlu.model.transformer import Transformer
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.shards import TokenWriter

VOCABULARY = 50
CONTEXT = 16


@pytest.fixture(scope="module")
def model() -> Transformer:
    config = ModelConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=CONTEXT,
    )
    model = Transformer(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def write(folder: Path, lengths: list[int], sources: str = "abc") -> TokenDataset:
    """Random documents; their sources take turns, and each token but the closing one stands for three bytes."""
    rng = np.random.default_rng(0)
    writer = TokenWriter(folder, VOCABULARY, 0, "none", keep_spans=True)
    for number, length in enumerate(lengths):
        ids = rng.integers(1, VOCABULARY, length).tolist()
        writer.write(ids, 3 * length, sources[number % len(sources)])
    writer.close()
    return TokenDataset(folder)


@torch.no_grad()
def token_by_token(model: Transformer, stream: TokenDataset) -> list[float]:
    """The loss of every token but the first, one window and one token at a time, straight from the definition."""
    tokens = stream.slice(0, stream.num_tokens).astype(np.int64)
    losses = []
    for span in stream.documents:
        first = max(span.offset, 1)
        for place in range(first, span.offset + span.tokens):
            start = first - 1 + (place - first) // CONTEXT * CONTEXT
            logits = model(torch.from_numpy(tokens[None, start:place]))[0, -1]
            losses.append(float(-logits.double().log_softmax(-1)[tokens[place]]))
    return losses


def test_a_document_is_judged_alike_wherever_it_stands(model: Transformer, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    document = rng.integers(1, VOCABULARY, 3 * CONTEXT + 5).tolist()
    found = []
    for before in (3, 40):
        writer = TokenWriter(tmp_path / str(before), VOCABULARY, 0, "none", keep_spans=True)
        writer.write(rng.integers(1, VOCABULARY, before).tolist(), before, "other")
        writer.write(document, len(document), "this")
        writer.close()
        found.append(evaluate_tokens(model, TokenDataset(tmp_path / str(before)), CONTEXT).by_source[1])
    assert found[0].loss == pytest.approx(found[1].loss, abs=1e-6)


@pytest.mark.parametrize("lengths", [[9, 30, 1, 47, 16, 15, 2, 60], [15, 16, 16], [200], [1, 1, 1]])
def test_every_token_but_the_first_is_predicted_once(lengths: list[int], model: Transformer, tmp_path: Path) -> None:
    stream = write(tmp_path, lengths)
    expected = token_by_token(model, stream)
    result = evaluate_tokens(model, stream, CONTEXT)
    assert result.tokens == stream.num_tokens - 1 == len(expected)
    assert result.bytes == 3 * sum(lengths)
    assert result.loss == pytest.approx(np.mean(expected), abs=1e-5)
    assert result.bits_per_byte == pytest.approx(sum(expected) / math.log(2) / result.bytes, abs=1e-5)
    by_hand: dict[str, list[float]] = {}
    for span in stream.documents:
        piece = expected[max(0, span.offset - 1) : span.offset - 1 + span.tokens]
        by_hand.setdefault(span.source, []).extend(piece)
    assert [part.source for part in result.by_source] == sorted(by_hand)
    for part in result.by_source:
        assert part.tokens == len(by_hand[part.source])
        assert part.loss == pytest.approx(np.mean(by_hand[part.source]), abs=1e-5)


def test_sources_add_up_to_the_whole(model: Transformer, tmp_path: Path) -> None:
    result = evaluate_tokens(model, write(tmp_path, [20, 7, 33, 50, 12, 41]), CONTEXT)
    assert sum(part.tokens for part in result.by_source) == result.tokens
    assert sum(part.bytes for part in result.by_source) == result.bytes
    assert sum(part.documents for part in result.by_source) == 6
    nats = sum(part.loss * part.tokens for part in result.by_source)
    assert nats == pytest.approx(result.loss * result.tokens)
    bits = sum(part.bits_per_byte * part.bytes for part in result.by_source)
    assert bits == pytest.approx(result.bits_per_byte * result.bytes)


def test_batches_do_not_show(model: Transformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = write(tmp_path, [40, 90, 13, 55])
    whole = evaluate_tokens(model, stream, CONTEXT)
    assert evaluate_tokens(model, stream, CONTEXT) == whole
    monkeypatch.setattr("danlu.evaluation.heldout._BATCH_TOKENS", 2 * CONTEXT)
    assert evaluate_tokens(model, stream, CONTEXT).loss == pytest.approx(whole.loss, abs=1e-6)


def test_the_standard_error_is_the_spread_over_new_documents(model: Transformer, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    losses = []
    for draw in range(60):
        folder = tmp_path / str(draw)
        writer = TokenWriter(folder, VOCABULARY, 0, "none", keep_spans=True)
        for _ in range(30):  # some documents repeat one token and some do not, so that documents differ
            length = int(rng.integers(5, 60))
            ids = np.full(length, rng.integers(1, VOCABULARY)) if rng.random() < 0.5 else rng.integers(1, 50, length)
            writer.write(ids.tolist(), length, "a")
        writer.close()
        losses.append(evaluate_tokens(model, TokenDataset(folder), CONTEXT))
    spread = float(np.std([result.loss for result in losses], ddof=1))
    estimate = float(np.mean([result.loss_se for result in losses]))
    assert 0.7 < estimate / spread < 1.4


def test_one_long_document_still_has_a_standard_error(model: Transformer, tmp_path: Path) -> None:
    one = evaluate_tokens(model, write(tmp_path / "one", [600]), CONTEXT)
    many = evaluate_tokens(model, write(tmp_path / "many", [29] * 20), CONTEXT)
    assert 0.5 * many.loss_se < one.loss_se < 2 * many.loss_se


def test_a_uniform_model_needs_the_logarithm_of_the_vocabulary(tmp_path: Path, model: Transformer) -> None:
    uniform = Transformer(model.config)
    with torch.no_grad():
        for parameter in uniform.parameters():
            parameter.zero_()
    result = evaluate_tokens(uniform, write(tmp_path, [30, 30]), CONTEXT)
    assert result.loss == pytest.approx(math.log(VOCABULARY), abs=1e-6)
    assert result.loss_se == pytest.approx(0, abs=1e-6)


def test_too_little_text_is_refused(model: Transformer, tmp_path: Path) -> None:
    TokenWriter(tmp_path, VOCABULARY, 0, "none", keep_spans=True).close()
    with pytest.raises(DanluError, match="no held-out text"):
        evaluate_tokens(model, TokenDataset(tmp_path), CONTEXT)


def test_the_evaluator_of_a_training_is_the_same_measure(model: Transformer, tmp_path: Path) -> None:
    stream = write(tmp_path / "heldout", [40, 22, 35])
    result: Evaluation = evaluate_tokens(model, stream, CONTEXT)
    assert heldout_evaluator(tmp_path, CONTEXT)(model) == (result.loss, result.loss_se)


def test_a_rehearsal_reads_the_largest_batches_and_says_how_much(
    model: Transformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("danlu.evaluation.heldout._BATCH_TOKENS", 3 * CONTEXT)
    write(tmp_path / "heldout", [5, 3, 7 * CONTEXT])
    assert heldout_rehearsal(tmp_path, CONTEXT)(model) == 2 * 3 * CONTEXT
