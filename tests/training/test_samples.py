"""What a model writes as it trains: each line once, whatever happens to the process, and nothing else is touched."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from danlu.common.progress import Progress
from danlu.model.family import shape
from danlu.model.transformer import Transformer
from danlu.tokens.tokenizer import train_tokenizer
from danlu.training.config import TrainingConfig
from danlu.training.distributed import World
from danlu.training.pretrain import pretrain
from danlu.training.samples import Sampler

MODEL = shape(32, 328, 16)
CONFIG = TrainingConfig(
    context=16, batch_tokens=256, micro_batch_tokens=256, precision="fp32", device="cpu", evaluations=4
)
QUIET = Progress(silent=True)
HORIZON = 256 * 12
TEXTS = ["The furnace is hot and the gold is cold.", "炉火正红，丹未成。🙂"]
PROMPTS = ["The", "炉火"]


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS * 4, 320)


@pytest.fixture(scope="module")
def whole(tokens: Path, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tokens, tokenizer, tmp_path_factory.mktemp("whole"))


Heard = list[tuple[float, list[tuple[str, str]]]]
"""Of each sampling the sum of all weights' sizes, and each prompt with what was said to it."""


def train(
    tokens: Path,
    tokenizer: Tokenizer,
    out: Path,
    killed_at: tuple[int, int] | None = None,
    heard: Heard | None = None,
) -> Path:
    """A run of twelve steps with four evaluations.

    Args:
        killed_at: the number of a sampling, and after how many of its prompts the process dies.
        heard: gets a line for each sampling.
    """
    sampler, calls = Sampler(tokenizer, PROMPTS, MODEL.max_position_embeddings, 0), 0

    def sample(model, world):
        nonlocal calls
        calls += 1
        if heard is not None:
            size = sum(parameter.detach().double().abs().sum().item() for parameter in model.parameters())
            heard.append((size, list(sampler(model, world))))
        for place, found in enumerate(sampler(model, world)):
            if killed_at == (calls, place):
                raise Killed
            yield found

    pretrain(MODEL, tokens, HORIZON, CONFIG, out, QUIET, evaluate=lambda model: (2.0, 0.1), sample=sample)
    return out


def weights(run: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((run / "checkpoints/step-000000012").glob("*.distcp")))


def test_each_evaluation_continues_the_same_prompts_with_the_model_as_it_is(tokens, tokenizer, whole, tmp_path) -> None:
    heard: Heard = []
    train(tokens, tokenizer, tmp_path, heard=heard)
    assert len({size for size, _ in heard}) == 4
    lines = [json.loads(line) for line in (whole / "samples.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 3, 6, 6, 9, 9, 12, 12]
    assert [line["prompt"] for line in lines] == PROMPTS * 4
    assert all(line["tokens"] == 256 * line["step"] and line["heldout_loss"] == 2.0 for line in lines)
    assert [(line["prompt"], line["text"]) for line in lines] == [pair for _, said in heard for pair in said]


def test_training_is_the_same_without_them(whole: Path, tokens: Path, tmp_path: Path) -> None:
    pretrain(MODEL, tokens, HORIZON, CONFIG, tmp_path, QUIET, evaluate=lambda model: (2.0, 0.1))
    assert not (tmp_path / "samples.jsonl").exists()
    assert (tmp_path / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    assert weights(tmp_path) == weights(whole)


@pytest.mark.parametrize("at", [(1, 1), (3, 0), (4, 1)])
def test_killed_among_them_and_continued_each_line_is_there_once(whole, tokens, tokenizer, tmp_path, at) -> None:
    with pytest.raises(Killed):
        train(tokens, tokenizer, tmp_path, at)
    train(tokens, tokenizer, tmp_path)
    for name in ("samples.jsonl", "metrics.jsonl"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()
    assert weights(tmp_path) == weights(whole)


def test_it_draws_from_no_common_randomness_and_leaves_out_what_fills_the_context(tokenizer: Tokenizer) -> None:
    model = Transformer(MODEL)
    model.initialize(torch.Generator().manual_seed(0))
    state = torch.random.get_rng_state()
    found = Sampler(tokenizer, ["The", "abcdefghijklmnopqrstuvwxyz"], 16, 0)(model, World())
    assert [prompt for prompt, _ in found] == ["The"]
    assert torch.equal(state, torch.random.get_rng_state())
