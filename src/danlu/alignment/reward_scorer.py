"""A reward model at work: texts in, scores out. It reads texts, so its tokenizer may be another than the policy's.

Several models may judge together: the folder of one, which any reader of its format takes for itself, then has the
others in `members/`, and the score is the mean of all.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from danlu.alignment.texts import collate
from danlu.common.strict import to_mapping
from danlu.feedback.records import Prompt
from danlu.hardware.device import Precision, choose_device, compute_dtype
from danlu.model.score import ScoreModel, load_score_model
from danlu.tokens.chat import Chat, Text, load_chat

MEMBERS = "members"
"""Where a reward model's folder has the models that judge beside it."""
_TEXTS = 64
"""Texts that are scored at once."""


class RewardScorer:
    """Scores responses to prompts.

    Args:
        models: on their device, of one tokenizer; the score is their mean.
        chat: how the models write conversations.
    """

    def __init__(self, models: Sequence[ScoreModel], chat: Chat) -> None:
        self.models, self.chat = tuple(models), chat

    @classmethod
    def load(cls, folder: Path, device: str = "auto", precision: Precision = "auto") -> "RewardScorer":
        """Read a reward model's folder.

        Raises:
            DanluError: it is none, or the device cannot be used.
        """
        place = choose_device(device)
        dtype = compute_dtype(place, precision)
        folders = [folder, *sorted(one for one in (folder / MEMBERS).glob("*") if one.is_dir())]
        return cls([load_score_model(one, dtype).to(place) for one in folders], load_chat(folder))

    @property
    def context(self) -> int:
        """Most tokens of a prompt with its response."""
        return self.models[0].config.max_position_embeddings

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float]:
        """The score of each response, whole and ended."""
        pairs = zip(prompts, responses, strict=True)
        return self.score_texts([self.chat.text(to_mapping(prompt), response) for prompt, response in pairs])

    @torch.no_grad()
    def score_texts(self, texts: Sequence[Text]) -> list[float]:
        """The score of each text, read at its last token."""
        device = self.models[0].score.weight.device
        order = sorted(range(len(texts)), key=lambda i: len(texts[i].tokens))
        found = [0.0] * len(texts)
        for first in range(0, len(order), _TEXTS):
            rows = order[first : first + _TEXTS]
            batch = collate([texts[i] for i in rows], self.chat.pad, device)
            scores = torch.stack(
                [model(batch.tokens, batch.positions, batch.segments).flatten()[batch.ends] for model in self.models]
            )
            for i, score in zip(rows, scores.mean(0).tolist(), strict=True):
                found[i] = score
        return found
