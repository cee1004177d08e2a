from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from danlu.common.errors import DanluError
from danlu.generation.config import SamplingConfig
from danlu.generation.generate import Generator, generate
from danlu.generation.load import load_generator
from danlu.model.huggingface import save_pretrained
from danlu.model.transformer import Transformer
from danlu.tokens.tokenizer import save_tokenizer

PROMPTS = [
    "The furnace",
    "",
    "炉火",
    "one two three four five six one two three four five six one two three",
    "a",
    "The gold is cold. " * 6,
    "🙂",
]
HOT = SamplingConfig(temperature=1.0, top_p=1.0, max_new_tokens=40)


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def generator(
    request: pytest.FixtureRequest, make_model: Callable[..., Transformer], tokenizer: Tokenizer
) -> Generator:
    return Generator(make_model(request.param), tokenizer)


@pytest.mark.parametrize(
    "config",
    [
        HOT,
        SamplingConfig(temperature=0.0, max_new_tokens=20),
        SamplingConfig(max_new_tokens=30, seed=3),
        SamplingConfig(temperature=1.2, top_k=20, top_p=0.9, min_p=0.01, stop=("e", "火"), max_new_tokens=60),
    ],
    ids=["hot", "greedy", "default", "everything"],
)
def test_results_do_not_depend_on_the_batch(generator: Generator, config: SamplingConfig) -> None:
    together = generator.generate(PROMPTS, config)
    assert len({result.tokens for result in together}) > 3
    for number, prompt in enumerate(PROMPTS):
        assert generator.generate([prompt], config, ids=[number]) == [together[number]]
    backwards = generator.generate(PROMPTS[::-1], config, ids=range(6, -1, -1))
    assert backwards[::-1] == together
    assert generator.generate(PROMPTS, config, batch_size=3) == together
    assert generator.generate(PROMPTS * 3, config, ids=[*range(7), *range(7), *range(7)]) == together * 3


def test_the_same_prompt_is_continued_differently_in_two_places(generator: Generator) -> None:
    first, second = generator.generate(["The furnace"] * 2, HOT)
    assert first.tokens != second.tokens
    again = generator.generate(["The furnace"], SamplingConfig(1.0, top_p=1.0, max_new_tokens=40, seed=1))
    assert again[0].tokens != first.tokens


@torch.no_grad()
def test_tokens_and_logprobs_are_those_of_the_plain_forward_pass(model: Transformer, tokenizer: Tokenizer) -> None:
    prompts = [tokenizer.encode(prompt).ids for prompt in PROMPTS if prompt]
    for temperature in (0.0, 1.5):
        config = SamplingConfig(temperature=temperature, max_new_tokens=25)
        for prompt, result in zip(prompts, generate(model, tokenizer, prompts, config), strict=True):
            tokens = torch.tensor([prompt + list(result.tokens)])
            logits = model(tokens)[0, len(prompt) - 1 : -1, : tokenizer.get_vocab_size()]
            expected = (logits / (temperature or 1.0)).log_softmax(-1)
            chosen = torch.tensor(result.tokens)
            torch.testing.assert_close(
                torch.tensor(result.logprobs), expected.gather(-1, chosen[:, None])[:, 0], atol=2e-4, rtol=0
            )
            if temperature == 0:
                assert torch.equal(chosen, expected.argmax(-1))


def test_rows_end_at_stop_tokens_texts_and_limits(generator: Generator, tokenizer: Tokenizer) -> None:
    stop = ("e", "火", "\n")
    results = generator.generate(["The"] * 60, SamplingConfig(2.0, top_p=1.0, stop=stop, max_new_tokens=50))
    stop_ids = {tokenizer.token_to_id(token) for token in ("<|endoftext|>", "<|im_end|>")}
    reasons = {"length": 0, "token": 0, "text": 0}
    for result in results:
        assert len(result.tokens) == len(result.logprobs)
        assert not any(token in result.text for token in stop)
        assert not any(token in stop_ids for token in result.tokens[:-1])
        whole = tokenizer.decode(result.tokens)
        if result.finish_reason == "length":
            assert len(result.tokens) == 50
            reasons["length"] += 1
        elif result.tokens[-1] in stop_ids:
            assert result.text == whole
            reasons["token"] += 1
        else:
            assert any(text in whole for text in stop)
            assert not any(text in tokenizer.decode(result.tokens[:-1]) for text in stop)
            assert whole.startswith(result.text)
            reasons["text"] += 1
    assert min(reasons["token"], reasons["text"]) > 0


def test_the_context_is_the_last_limit(generator: Generator, tokenizer: Tokenizer) -> None:
    prompts = [[5] * 155, [6] * 40, [7] * 159]
    config = SamplingConfig(1.0, top_p=1.0, max_new_tokens=119)
    results = generator.generate(prompts, config)
    for prompt, result in zip(prompts, results, strict=True):
        assert result.finish_reason == "stop" or len(result.tokens) == min(119, 160 - len(prompt))
    with pytest.raises(DanluError, match="160 tokens"):
        generator.generate([[5] * 160], config)


@pytest.mark.parametrize("config", [HOT, SamplingConfig(1.5, top_p=1.0, stop=("e", "三"), max_new_tokens=60)])
def test_a_stream_is_the_same_text_in_pieces(generator: Generator, config: SamplingConfig) -> None:
    results = generator.generate(PROMPTS, config)
    for number, (prompt, result) in enumerate(zip(PROMPTS, results, strict=True)):
        pieces = list(generator.stream(prompt, config, number=number))
        assert "".join(pieces) == result.text
        assert all(pieces)


def test_tokens_without_a_text_are_never_drawn(model: Transformer, tokenizer: Tokenizer) -> None:
    results = generate(model, tokenizer, ["a"] * 40, SamplingConfig(5.0, top_p=1.0, max_new_tokens=60))
    assert max(max(result.tokens) for result in results) < tokenizer.get_vocab_size() < model.config.vocab_size


def test_no_prompts_give_no_results(generator: Generator) -> None:
    assert generator.generate([], HOT) == []


def test_a_folder_generates_what_the_model_does(model: Transformer, tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path / "tokenizer")
    save_pretrained(model.config, model.state_dict(), tmp_path / "tokenizer", tmp_path / "model", torch.float32)
    loaded = load_generator(tmp_path / "model", device="cpu", precision="fp32")
    assert loaded.generate(PROMPTS, HOT) == generate(model, tokenizer, PROMPTS, HOT)


def test_a_folder_says_itself_what_ends_a_text(model: Transformer, tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path / "tokenizer")
    save_pretrained(model.config, model.state_dict(), tmp_path / "tokenizer", tmp_path / "model", torch.float32)
    end = tokenizer.token_to_id("<|endoftext|>")
    assert load_generator(tmp_path / "model", "cpu", "fp32").stop_tokens == (end,)
    (tmp_path / "model" / "generation_config.json").write_text('{"eos_token_id": [5, 6]}')
    loaded = load_generator(tmp_path / "model", "cpu", "fp32")
    assert loaded.stop_tokens == (5, 6)
    results = loaded.generate(["a"] * 64, SamplingConfig(5.0, top_p=1.0, max_new_tokens=60))
    assert {result.tokens[-1] for result in results if result.finish_reason == "stop"} == {5, 6}


def test_a_tokenizer_of_another_model_is_refused(make_model: Callable[..., Transformer], tokenizer: Tokenizer) -> None:
    with pytest.raises(DanluError, match="tokenizer knows"):
        Generator(make_model(vocab_size=300), tokenizer)
