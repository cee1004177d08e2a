from collections.abc import Callable

import pytest
import torch

from danlu.generation.decoder import Decoder
from danlu.model.transformer import Transformer

FAMILIES = {
    "qwen3": {},
    "qwen2": {"model_type": "qwen2", "qk_norm": False, "attention_bias": True},
    "llama": {"model_type": "llama", "qk_norm": False},
    "untied, one head for each query": {"tie_word_embeddings": False, "num_key_value_heads": 4},
    "head wider than its share": {"head_dim": 64, "rope_theta": 500.0},
}


def rows(*lengths: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 320, (length,), generator=generator).tolist() for length in lengths]


@torch.no_grad()
def plain(model: Transformer, tokens: list[int]) -> torch.Tensor:
    return model(torch.tensor([tokens]))[0, -1]


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain"])
@pytest.mark.parametrize("family", FAMILIES)
def test_cached_decoding_is_the_plain_forward_pass(
    family: str, fused: bool, make_model: Callable[..., Transformer], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(**FAMILIES[family])
    texts = rows(1, 5, 31, 32, 33, 70)
    expected = [plain(model, text) for text in texts]
    if not fused:
        monkeypatch.setattr("danlu.generation.attention.kernels_for", lambda x: None)
    decoder = Decoder.of(model)
    logits, cache = decoder.prefill(texts, capacity=80)
    torch.testing.assert_close(logits, torch.stack(expected), atol=1e-4, rtol=0)
    lengths = torch.tensor([len(text) for text in texts])
    for step in range(6):
        tokens = logits.argmax(-1)
        for text, token in zip(texts, tokens.tolist(), strict=True):
            text.append(token)
        logits = decoder.step(tokens, lengths + step, cache)
        torch.testing.assert_close(logits, torch.stack([plain(model, t) for t in texts]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_has_the_same_bits_in_any_batch(dtype: torch.dtype, make_model: Callable[..., Transformer]) -> None:
    decoder = Decoder.of(make_model(dtype))
    texts = rows(40, 3, 33, 90, 64, 7, 1, 12, 100, 20, 21)

    def run(chosen: list[int]) -> dict[int, torch.Tensor]:
        logits, cache = decoder.prefill([texts[i] for i in chosen], capacity=120)
        seen = [logits]
        for step in range(3):
            positions = torch.tensor([len(texts[i]) + step for i in chosen])
            seen.append(decoder.step(torch.full((len(chosen),), 5 + step), positions, cache))
        return {i: torch.stack(seen)[:, place] for place, i in enumerate(chosen)}

    together = run(list(range(len(texts))))
    for chosen in ([0], [3, 0], [8, 7, 6, 5, 4, 3, 2, 1, 0], list(range(10, -1, -1))):
        for i, logits in run(chosen).items():
            assert torch.equal(logits, together[i]), (chosen, i)


def test_rows_can_be_dropped(model: Transformer) -> None:
    decoder = Decoder.of(model)
    texts = rows(9, 40, 17)
    logits, cache = decoder.prefill(texts, capacity=48)
    cache.keep(torch.tensor([2, 0]))
    tokens, positions = torch.tensor([7, 8]), torch.tensor([17, 9])
    logits = decoder.step(tokens, positions, cache)
    expected = torch.stack([plain(model, [*texts[2], 7]), plain(model, [*texts[0], 8])])
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


def test_a_prompt_that_comes_again_is_read_once(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder.of(model)
    prompts = [[1, 2, 3], [4, 5], [1, 2, 3], [1, 2, 3]]
    apart = [decoder.prefill([prompt], 8) for prompt in prompts]
    read: list[int] = []
    monkeypatch.setattr(
        decoder, "_read", lambda tokens, *rest: read.append(len(tokens)) or Decoder._read(decoder, tokens, *rest)
    )
    logits, cache = decoder.prefill(prompts, 8)
    assert sum(read) == 2
    tokens, positions = torch.tensor([6, 7, 8, 6]), torch.tensor([3, 2, 3, 3])
    after = decoder.step(tokens, positions, cache)
    for row, (alone, own) in enumerate(apart):
        assert torch.equal(logits[row], alone[0])
        assert torch.equal(after[row], decoder.step(tokens[row : row + 1], positions[row : row + 1], own)[0])


def test_long_prompts_are_read_in_groups(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder.of(model)
    texts = rows(60, 50, 64, 40, 33)
    whole, _ = decoder.prefill(texts, capacity=70)
    monkeypatch.setattr("danlu.generation.decoder._PREFILL_TOKENS", 130)
    grouped, _ = decoder.prefill(texts, capacity=70)
    assert torch.equal(whole, grouped)


def test_bfloat16_is_near_float32(make_model: Callable[..., Transformer]) -> None:
    texts = rows(30, 8)
    exact, _ = Decoder.of(make_model()).prefill(texts, capacity=32)
    rough, _ = Decoder.of(make_model(torch.bfloat16)).prefill(texts, capacity=32)
    assert (exact - rough).abs().max() < 0.03 * exact.abs().max()


def test_weights_are_taken_as_they_are_at_the_time(make_model: Callable[..., Transformer]) -> None:
    model = make_model()
    before = Decoder.of(model)
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(-1)
    texts = rows(4)
    assert not torch.allclose(before.prefill(texts, 8)[0], Decoder.of(model).prefill(texts, 8)[0])
    torch.testing.assert_close(Decoder.of(model).prefill(texts, 8)[0][0], plain(model, texts[0]), atol=1e-4, rtol=0)
