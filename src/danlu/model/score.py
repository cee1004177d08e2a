"""A decoder with a scalar head: reward model and value function. Its state dict has the keys of `transformers`'
Qwen3ForSequenceClassification with one label, and a bias beside them.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danlu.common.files import read_json
from danlu.model.config import ModelConfig
from danlu.model.huggingface import load_pretrained, save_pretrained
from danlu.model.transformer import Backbone


class ScoreModel(Backbone):
    """Scores texts: a linear function of the last hidden state at a token.

    Args:
        config: the shape; its output table is not used.
        compute_dtype: dtype of activations and matrix products; the head computes in fp32.
    """

    def __init__(self, config: ModelConfig, compute_dtype: torch.dtype = torch.float32) -> None:
        super().__init__(config, compute_dtype)
        self.score = nn.Linear(config.hidden_size, 1)

    def initialize_from(
        self,
        weights: Mapping[str, Tensor],
        generator: torch.Generator | None = None,
        head: Literal["normal", "zero", "given"] = "normal",
    ) -> None:
        """Take the decoder of a language model (or of a score model) and draw a head.

        Args:
            weights: under the names of Qwen3ForCausalLM; its output table is left out.
            generator: of the head's numbers.
            head: `normal`: with standard deviation 1 / sqrt(D + 1) and bias 0 (Stiennon et al. 2020 as their code has
                it); `zero`: every score is 0 at first (a value function without a reward model); `given`: from
                `weights` too.
        """
        own = {name: tensor for name, tensor in weights.items() if name.startswith("model.")}
        with torch.no_grad():
            if head == "given":
                own |= {name: weights[name] for name in ("score.weight", "score.bias")}
            else:
                std = 1 / math.sqrt(self.config.hidden_size + 1)
                self.score.bias.zero_()
                if head == "zero":
                    self.score.weight.zero_()
                else:
                    self.score.weight.normal_(std=std, generator=generator)
                own |= {f"score.{name}": p for name, p in self.score.named_parameters()}
        self.load_state_dict(own)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        shared: Tensor | None = None,
    ) -> Tensor:
        """Token ids (B, T) to a score at every token (B, T), fp32."""
        return self._scores(self.hidden(tokens, positions, segments, shared)).clone()  # FSDP wants no view

    def scores_at(
        self, tokens: Tensor, ends: Tensor, positions: Tensor | None = None, segments: Tensor | None = None
    ) -> Tensor:
        """Scores at given tokens alone, fp32.

        Args:
            tokens: (B, T).
            ends: (B,) or (B, N) int64, where in its row a text ends; the last real token by index.

        Returns:
            of the shape of `ends`.
        """
        hidden = self.hidden(tokens, positions, segments)
        places = ends.view(ends.size(0), -1)
        chosen = hidden.gather(1, places[..., None].expand(-1, -1, hidden.size(-1)))  # (B, N, D)
        return self._scores(chosen).view_as(ends)

    def _scores(self, hidden: Tensor) -> Tensor:
        weight, bias = self.score.weight.float(), self.score.bias.float()
        return F.linear(hidden.float(), weight, bias)[..., 0]


def save_score_model(
    config: ModelConfig,
    state_dict: Mapping[str, Tensor],
    tokenizer_folder: Path,
    out: Path,
    *,
    template: str | None = None,
    pad: int,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a score model as `transformers`' AutoModelForSequenceClassification reads it (one label).

    Its classes have no bias in the head, so ours is `score_bias` in config.json: whatever reads the configuration keeps
    it (`model.config.score_bias`), and the score is `logits + config.score_bias`. Orders and differences of scores, all
    that rankings and policy gradients feel, are the same without it.

    Args:
        state_dict: of a `ScoreModel`, on any device.
        tokenizer_folder: of the model that it began from.
        template: the chat template that texts to be scored are written with.
        pad: the token after which `transformers` looks for a text's end.

    Raises:
        DanluError: as `save_pretrained`.
    """
    bias = float(state_dict["score.bias"].item())
    extra = {"id2label": {"0": "score"}, "label2id": {"score": 0}, "pad_token_id": pad, "score_bias": bias}
    save_pretrained(
        config, state_dict, tokenizer_folder, out, dtype, chat=True, template=template, head="score", extra=extra
    )


def load_score_model(folder: Path, dtype: torch.dtype = torch.float32) -> ScoreModel:
    """Read a score model's folder: ours, or another of one label.

    Raises:
        DanluError: it is no such folder, or cannot be read exactly.
    """
    config, weights = load_pretrained(folder, head="score")
    bias = read_json(folder / "config.json").get("score_bias", 0.0)
    model = ScoreModel(config, dtype)
    model.initialize_from({**weights, "score.bias": torch.tensor([bias])}, head="given")
    return model
