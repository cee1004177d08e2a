"""PPO, GRPO and best of n on folders and files: any model folder, any file of prompts, any reward."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from danlu.alignment.best_of_n import Point, best_indices, curve, sample_and_score
from danlu.alignment.learner import Mix
from danlu.alignment.learning import Begin, LearningResult, Weights, learn
from danlu.alignment.ppo_config import GRPOConfig, PPOConfig
from danlu.alignment.queries import Query, fitting, read_queries
from danlu.alignment.rewards import ModelReward, load_reward
from danlu.alignment.rollout import roll_out
from danlu.common.errors import DanluError
from danlu.common.files import write_atomic, write_json
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.feedback.records import Demonstration, to_json
from danlu.generation.decoder import Decoder
from danlu.hardware.device import Precision, choose_device, compute_dtype
from danlu.model.config import ModelConfig
from danlu.model.huggingface import load_pretrained, save_pretrained
from danlu.tokens.chat import Chat, load_chat
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.loader import Loader
from danlu.training.distributed import join_world


@dataclass(frozen=True)
class Policy:
    """A model folder that answers prompts."""

    folder: Path
    weights: Weights
    chat: Chat

    @classmethod
    def load(cls, folder: Path) -> "Policy":
        """Read it.

        Raises:
            DanluError: it is no language model, or its template or tokens cannot be used.
        """
        return cls(folder, Weights(*load_pretrained(folder)), load_chat(folder))

    @property
    def config(self) -> ModelConfig:
        """Its shape."""
        return self.weights.config

    def queries(self, path: Path, max_new_tokens: int, say: Callable[[str], None]) -> tuple[Query, ...]:
        """The prompts of a file that leave room for a response; says how many do not."""
        found = read_queries(path)
        encoded = [replace(query, tokens=tuple(self.chat.prompt(to_mapping(query.prompt)))) for query in found]
        kept = fitting(encoded, self.config.max_position_embeddings, max_new_tokens)
        if kept.too_long:
            say(
                f"{kept.too_long:,} of {len(found):,} prompts leave no room for {max_new_tokens} new tokens in the"
                f" context of {self.config.max_position_embeddings} and are left out."
            )
        return kept.queries


def learn_from_rewards(
    policy: Policy,
    queries: Sequence[Query],
    reward: str,
    config: PPOConfig | GRPOConfig,
    out: Path,
    report: Progress,
    *,
    value: Path | None = None,
    pretraining: Path | None = None,
) -> LearningResult:
    """Learn, and write the policy to out/model.

    Args:
        reward: see `load_reward`.
        value: the reward model that PPO's value network begins as; by default the one that rewards, where it writes in
            the policy's tokens.
        pretraining: a tokens folder for ptx, of the policy's own tokenizer.

    Raises:
        DanluError: as `load_reward` and `learn`.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    chat = policy.chat
    judge = load_reward(reward, policy.folder, chat, queries, report, config.device, config.precision)
    network = None
    if isinstance(config, PPOConfig):
        network = _value_weights(judge, value)
        if network is None:
            report("The value network begins as the policy with a head of zeros: no reward model shares its tokens.")
    policy_weights, result = learn(
        config,
        Begin(policy.weights, network, (chat.end,), chat.pad),
        queries,
        judge,
        out,
        report,
        mix=_mix(config, policy, pretraining),
    )
    if join_world(torch.device("cpu")).is_main:
        save_pretrained(
            policy.config,
            policy_weights,
            policy.folder,
            out / "model",
            torch.float32,
            chat=True,
            template=chat.template,
        )
    return result


def _value_weights(judge: object, value: Path | None) -> Weights | None:
    from danlu.model.score import load_score_model

    if value is not None:
        model = load_score_model(value if (value / "config.json").exists() else value / "model")
        return Weights(model.config, model.state_dict())
    if isinstance(judge, ModelReward) and judge.shared:
        state = {name: tensor.detach().cpu().clone() for name, tensor in judge.scorer.models[0].state_dict().items()}
        return Weights(judge.scorer.models[0].config, state)
    return None


def _mix(config: PPOConfig | GRPOConfig, policy: Policy, pretraining: Path | None) -> Mix | None:
    if pretraining is None or not isinstance(config, PPOConfig) or not config.ptx_coef:
        return None
    dataset = TokenDataset(pretraining / "train")
    context = min(policy.config.max_position_embeddings, 512)
    loader = Loader(dataset, context, config.seed)
    loader.require(config.ptx_sequences)
    return Mix(loader, config.ptx_sequences, context)


# Best of n


@dataclass(frozen=True)
class BestOfN:
    """What best of n gave; result.json."""

    prompts: int
    n: int
    points: tuple[Point, ...]
    """From 1 to n, estimated from all samples without bias."""


def best_of_n(
    policy: Policy,
    queries: Sequence[Query],
    reward: str,
    n: int,
    out: Path,
    report: Progress,
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
) -> BestOfN:
    """Draw n responses to each prompt, keep the best, and write them.

    Args:
        out: gets best.jsonl (demonstrations: rejection sampling for `danlu sft`), samples.jsonl (all responses with
            their scores) and result.json.

    Raises:
        DanluError: as `load_reward`; n below 1; no response of any prompt has ended.
    """
    place = choose_device(device)
    dtype = compute_dtype(place, precision)
    decoder = Decoder(policy.config, {k: t.to(place) for k, t in policy.weights.state.items()}, dtype)
    chat = policy.chat
    judge = load_reward(reward, policy.folder, chat, queries, report, device, precision)
    tokens: dict[tuple[int, int], list[int]] = {}

    def draw(places: Sequence[int], numbers: Sequence[int]) -> list[str]:
        rollout = roll_out(
            decoder,
            [queries[i].tokens for i in places],
            numbers,
            (chat.end,),
            chat.pad,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
        )
        responses = rollout.responses()
        tokens.clear()
        tokens.update({(i, number): r for i, number, r in zip(places, numbers, responses, strict=True)})
        return [chat.decode(response) for response in responses]

    def score(places: Sequence[int], texts: Sequence[str]) -> list[float]:
        responses = list(tokens.values())
        scores = judge([queries[i] for i in places], responses).tolist()
        return [s if r[-1] == chat.end else s + _UNENDED for s, r in zip(scores, responses, strict=True)]

    texts, scores = sample_and_score(
        len(queries), n, draw, score, show=lambda done, total: report.show(done, total, "best of n")
    )
    report.clear()
    unended = scores < _UNENDED / 2
    whole = ~unended.all(axis=1)
    if not whole.any():
        raise DanluError(
            "no response to any prompt has come to its end.",
            "Give a larger --max-new-tokens, or teach the model first.",
        )
    if not whole.all():
        report(f"{int((~whole).sum()):,} prompts have no response that ended, and are left out.")
    # A response without end loses against every one that ended, and counts as the worst of those.
    proxy = np.where(unended, np.where(unended, np.inf, scores).min(axis=1, keepdims=True), scores)
    best = best_indices(scores)
    chosen = [
        Demonstration(queries[i].prompt, texts[i][best[i]], f"best-of-{n}")
        for i in np.flatnonzero(whole).tolist()
        if texts[i][best[i]].strip()
    ]
    samples = [
        {
            "prompt": to_mapping(queries[i].prompt),
            "completions": texts[i],
            "scores": [
                None if lost else value for lost, value in zip(unended[i].tolist(), scores[i].tolist(), strict=True)
            ],
        }
        for i in range(len(queries))
    ]
    write_atomic(out / "best.jsonl", "".join(json.dumps(to_json(d), ensure_ascii=False) + "\n" for d in chosen))
    write_atomic(out / "samples.jsonl", "".join(json.dumps(s, ensure_ascii=False) + "\n" for s in samples))
    result = BestOfN(int(whole.sum()), n, tuple(curve(proxy[whole])))
    write_json(out / "result.json", to_mapping(result))
    return result


_UNENDED = -1e6
"""Added to the score of a response without end token: it is kept only where no other is there."""
