"""A score model's folder loads in `transformers` with the same score, and comes back with its bias."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from danlu.common.errors import DanluError
from danlu.model.config import ModelConfig
from danlu.model.huggingface import load_pretrained
from danlu.model.score import ScoreModel, load_score_model, save_score_model
from danlu.tokens.chat import CHAT_TEMPLATE
from danlu.tokens.tokenizer import PAD, load_tokenizer, save_tokenizer, train_tokenizer


@pytest.mark.parametrize("family", ["qwen3", "qwen2", "llama"])
def test_transformers_gives_the_same_score(family: str, tmp_path: Path) -> None:
    save_tokenizer(train_tokenizer(["The furnace is hot."] * 3, 300), tmp_path / "tokenizer")
    pad = load_tokenizer(tmp_path / "tokenizer").token_to_id(PAD)
    config = ModelConfig(
        vocab_size=320, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, qk_norm=family == "qwen3", attention_bias=family == "qwen2",
        model_type=family,  # type: ignore[arg-type]
    )  # fmt: skip
    model = ScoreModel(config)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(("norm" in name) + 0.1 * torch.randn(parameter.shape))
    save_score_model(
        config, model.state_dict(), tmp_path / "tokenizer", tmp_path / "rm", template=CHAT_TEMPLATE, pad=pad
    )

    tokens = torch.randint(0, 200, (3, 12))
    ends = torch.tensor([11, 4, 7])
    for row, end in enumerate(ends.tolist()):
        tokens[row, end + 1 :] = pad
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm").eval()
    with torch.no_grad():
        ours = model.scores_at(tokens, ends)
        logits = theirs(tokens, attention_mask=(tokens != pad).long()).logits[:, 0]
        again = load_score_model(tmp_path / "rm").scores_at(tokens, ends)
    torch.testing.assert_close(logits + theirs.config.score_bias, ours, atol=1e-5, rtol=1e-5)
    assert torch.equal(again, ours)
    with pytest.raises(DanluError, match="is a reward model"):
        load_pretrained(tmp_path / "rm")
