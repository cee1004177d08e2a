"""A reward model at work: texts in, scores out. It reads texts, so its tokenizer may be another than the policy's."""

from collections.abc import Sequence
from pathlib import Path

import torch

from danlu.alignment.texts import collate
from danlu.common.strict import to_mapping
from danlu.feedback.records import Prompt
from danlu.hardware.device import Precision, choose_device, compute_dtype
from danlu.model.score import ScoreModel, load_score_model
from danlu.tokens.chat import Chat, Text, load_chat

_TEXTS = 64
"""Texts that are scored at once."""


class RewardScorer:
    """Scores responses to prompts.

    Args:
        model: on its device.
        chat: how the model writes conversations.
    """

    def __init__(self, model: ScoreModel, chat: Chat) -> None:
        self.model, self.chat = model, chat

    @classmethod
    def load(cls, folder: Path, device: str = "auto", precision: Precision = "auto") -> "RewardScorer":
        """Read a reward model's folder.

        Raises:
            DanluError: it is none, or the device cannot be used.
        """
        place = choose_device(device)
        model = load_score_model(folder, compute_dtype(place, precision)).to(place)
        return cls(model, load_chat(folder))

    @property
    def context(self) -> int:
        """Most tokens of a prompt with its response."""
        return self.model.config.max_position_embeddings

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float]:
        """The score of each response, whole and ended."""
        pairs = zip(prompts, responses, strict=True)
        return self.score_texts([self.chat.text(to_mapping(prompt), response) for prompt, response in pairs])

    @torch.no_grad()
    def score_texts(self, texts: Sequence[Text]) -> list[float]:
        """The score of each text, read at its last token."""
        device = self.model.score.weight.device
        order = sorted(range(len(texts)), key=lambda i: len(texts[i].tokens))
        found = [0.0] * len(texts)
        for first in range(0, len(order), _TEXTS):
            rows = order[first : first + _TEXTS]
            batch = collate([texts[i] for i in rows], self.chat.pad, device)
            scores = self.model(batch.tokens, batch.positions, batch.segments).flatten()[batch.ends]
            for i, score in zip(rows, scores.tolist(), strict=True):
                found[i] = score
        return found
