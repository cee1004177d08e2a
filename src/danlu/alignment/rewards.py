"""Rewards for PPO, GRPO and best of n: a reward model's folder, or a program that checks answers."""

import importlib.util
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

import torch
from torch import Tensor

from danlu.alignment.experience import Reward
from danlu.alignment.queries import Query
from danlu.alignment.reward_scorer import RewardScorer
from danlu.common.errors import DanluError
from danlu.feedback.records import prompt_text
from danlu.hardware.device import Precision
from danlu.tokens.chat import Chat, Text, same_vocabulary

Check = Callable[[str, str, str], float]
"""A programmed reward: from prompt, response and right answer (texts) to a score."""

_MARK = "####"
"""What gsm8k writes before its answers."""
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


class ModelReward:
    """A reward model's score of the prompt with the response.

    Args:
        scorer: the reward model.
        chat: how the policy writes.
        shared: whether both write conversations alike, in the same tokens. The tokens that the policy drew are then
            scored as they are; otherwise the text is, in the reward model's own tokens.
    """

    def __init__(self, scorer: RewardScorer, chat: Chat, shared: bool) -> None:
        self.scorer, self.chat, self.shared = scorer, chat, shared

    def __call__(self, queries: Sequence[Query], responses: Sequence[Sequence[int]]) -> Tensor:
        if not self.shared:
            texts = [self.chat.decode(response) for response in responses]
            return torch.tensor(self.scorer([query.prompt for query in queries], texts))
        rows = []
        for query, response in zip(queries, responses, strict=True):
            ended = bool(response) and response[-1] == self.chat.end
            tail = () if ended else (self.chat.end,)  # the model has learned to judge texts that have ended
            rows.append(Text((*query.tokens, *response, *tail), len(query.tokens)))
        return torch.tensor(self.scorer.score_texts(rows))


class ProgrammedReward:
    """A program's score of the response's text."""

    def __init__(self, check: Check, chat: Chat) -> None:
        self.check, self.chat = check, chat

    def __call__(self, queries: Sequence[Query], responses: Sequence[Sequence[int]]) -> Tensor:
        scores = [
            float(self.check(prompt_text(query.prompt), self.chat.decode(response), query.answer))
            for query, response in zip(queries, responses, strict=True)
        ]
        return torch.tensor(scores)


def exact_answer(prompt: str, response: str, answer: str) -> float:
    """1 where the response gives the right answer, else 0.

    The answer is what stands behind the last `####` of the right one (gsm8k), or all of it; the response's is what
    stands behind its last `####`, or its last number where the right answer is a number, or all of it. Numbers are
    compared as numbers: 1,200 is 1200.00.
    """
    wanted, given = _behind_mark(answer), _behind_mark(response)
    number = _number(wanted)
    if number is not None:
        if _MARK not in response:
            found = _NUMBER.findall(given)
            given = found[-1] if found else ""
        return float(_number(given) == number)
    return float(" ".join(given.split()).casefold() == " ".join(wanted.split()).casefold())


def _behind_mark(text: str) -> str:
    return text.rsplit(_MARK, 1)[-1].strip()


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text.strip().strip("$€¥%. ").replace(",", ""))
    except InvalidOperation:
        return None


def load_reward(
    name: str,
    policy: Path,
    chat: Chat,
    queries: Sequence[Query],
    say: Callable[[str], None],
    device: str = "auto",
    precision: Precision = "auto",
) -> Reward:
    """A reward from what a user wrote.

    Args:
        name: `answer` (the file's right answers, compared exactly), FILE.py:FUNCTION (a function of prompt, response
            and answer), or a reward model's folder.
        policy: the policy's folder.
        queries: for whether they have answers.

    Raises:
        DanluError: there is no such thing, or the prompts lack answers.
    """
    if name == "answer":
        if without := sum(not query.answer for query in queries):
            raise DanluError(
                f"{without:,} of {len(queries):,} prompts have no answer to compare with.",
                'Write it beside the prompt: {"prompt": "...", "answer": "..."}, or give a reward model.',
            )
        return ProgrammedReward(exact_answer, chat)
    if ".py:" in name:
        return ProgrammedReward(_function(name), chat)
    folder = Path(name)
    folder = folder if (folder / "config.json").exists() else folder / "model"
    if not (folder / "config.json").exists():
        raise DanluError(
            f"there is no reward {name}.",
            "Give a reward model's folder, FILE.py:FUNCTION, or answer for exact answers.",
        )
    scorer = RewardScorer.load(folder, device, precision)
    shared = same_vocabulary(folder, policy) and scorer.chat.template == chat.template
    if not shared:
        say("The reward model writes in tokens of its own: responses are read as text and tokenised again for it.")
    return ModelReward(scorer, chat, shared)


def _function(name: str) -> Check:
    file, _, function = name.rpartition(":")
    spec = importlib.util.spec_from_file_location("danlu_reward", file)
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise DanluError(f"there is no file {file}.", "Give FILE.py:FUNCTION.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Check | None = getattr(module, function, None)
    if not callable(found):
        raise DanluError(f"{file} has no function {function}.", "Define it: (prompt, response, answer) -> number.")
    return found
