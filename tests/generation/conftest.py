from collections.abc import Callable

import pytest
import torch
from tokenizers import Tokenizer

from danlu.model.config import ModelConfig
from danlu.model.transformer import Transformer
from danlu.tokens.tokenizer import train_tokenizer

TEXTS = ["The furnace is hot and the gold is cold.", "炉火正红，丹未成。🙂", "one two three four five six"]


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS * 4, 320)


MakeModel = Callable[..., Transformer]


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """Builds a small model, every tensor random, whose logits are neither flat nor a single peak."""

    def make(dtype: torch.dtype = torch.float32, **changes: object) -> Transformer:
        shape: dict[str, object] = {
            "vocab_size": 328,  # some rows more than the tokenizer has tokens
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "max_position_embeddings": 160,
        }
        model = Transformer(ModelConfig(**(shape | changes)), dtype)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                centre = 1.0 if "norm" in name else 0.0
                parameter.copy_(centre + 0.15 * torch.randn(parameter.shape, generator=generator))
        return model.eval()

    return make


@pytest.fixture(scope="session")
def model(make_model: MakeModel) -> Transformer:
    return make_model()
