"""Step 1: a base model learns to answer from demonstrations (InstructGPT, Ouyang et al. 2022, appendix C.1)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from danlu.alignment.reward_scorer import RewardScorer
from danlu.alignment.rollout import decoder_of
from danlu.alignment.texts import Order, TextBatch, collate, fit_demonstrations, piece_size, shares
from danlu.alignment.tuning import Start, begin, optimizer_of, schedule_of
from danlu.alignment.tuning_config import SFTConfig
from danlu.common.errors import DanluError
from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.feedback.records import Demonstration
from danlu.generation.config import SamplingConfig
from danlu.generation.generate import Generator
from danlu.model.transformer import Transformer
from danlu.tokens.chat import Text
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.loader import Loader
from danlu.tokens.tokenizer import load_tokenizer
from danlu.training.loop import Loss
from danlu.training.run import Run, evenly, run_training

_PIECE = 32
"""Held-out conversations that are judged at once."""


@dataclass(frozen=True)
class SFTResult:
    """What the step gave; result.json."""

    demonstrations: int
    """Learned from."""
    dropped: Mapping[str, int]
    """Left out, by reason."""
    heldout_loss: float | None
    """Of the kept checkpoint (nats a response token); None without held-out demonstrations."""
    heldout_reward: float | None
    """Mean score of its answers to held-out prompts; None without a reward model."""
    steps: int
    best_step: int | None
    """The step of the kept checkpoint; None: the last, unchosen."""
    loss: float
    """Training loss of the last step (nats a target)."""
    tokens: int
    """Tokens seen, repeated ones counted each time."""
    seconds: float
    lr: float
    """Peak learning rate of the matrices."""


def response_loss(model: Transformer, batch: TextBatch) -> Loss:
    """The loss of the targets of some conversations."""
    return Loss(model.loss(batch.tokens, batch.targets, batch.positions, batch.segments), batch.num_targets)


def run_sft(
    start: Path,
    demonstrations: Sequence[Demonstration],
    heldout: Sequence[Demonstration],
    config: SFTConfig,
    out: Path,
    report: Progress,
    *,
    reward: Path | None = None,
    pretraining: Path | None = None,
    left_padding: int = 0,
) -> SFTResult:
    """Fine-tune a model. Called again after an interruption, it continues.

    Args:
        start: a model folder.
        heldout: demonstrations of other prompts, whose loss is watched.
        out: gets model/, metrics.jsonl, checkpoints/ and result.json.
        reward: a reward model's folder, for `select = "reward"`.
        pretraining: a folder that `build_tokens` wrote, for `pretraining_share`.
        left_padding: padding tokens before every row; changes nothing but rounding.

    Raises:
        DanluError: nothing to learn from, something missing for what is asked, or as `run_training`.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    if config.select == "reward" and (reward is None or not heldout):
        raise DanluError(
            "choosing by reward needs a reward model and held-out demonstrations.",
            "Give --reward FOLDER, or choose by --select loss.",
        )
    if config.pretraining_share and pretraining is None:
        raise DanluError("a share of pretraining is asked for without its tokens.", "Give --pretraining RUN/tokens.")
    begun = begin(start, config, report)
    engine, chat = begun.engine, begun.chat
    fitted = fit_demonstrations(demonstrations, chat, begun.limits)
    fitted.require("demonstrations", "Give shorter ones, or a longer --context.")
    texts = fitted.units
    judged = fit_demonstrations(heldout, chat, begun.limits).units
    report(fitted.summary("demonstrations") + f"; {len(judged)} held out")

    order = Order(len(texts), config.batch_size, config.epochs, config.seed)
    lengths = [len(text.tokens) for text in texts]
    width = begun.limits.context if config.packing else None
    seen = _running_tokens(order, lengths)
    mixed = _Pretraining.of(pretraining, config, begun.limits.context, seen[-1] / order.steps) if pretraining else None
    step_tokens, step_texts = seen[-1] / order.steps, len(texts) * config.epochs / order.steps
    if mixed:
        step_tokens, step_texts = step_tokens + mixed.tokens, step_texts + mixed.sequences
    piece = piece_size(config.micro_batch_size, step_tokens / step_texts, begun.config, engine)

    def collated(some: Sequence[Text]) -> TextBatch:
        return collate(
            some, chat.pad, engine.device, width=width, left_padding=left_padding, whole=config.loss_on == "all"
        )

    def micro_batches(step: int) -> Iterator[TextBatch]:
        # Both in one pass: two small ones take a third longer.
        both = [texts[i] for i in order.units(step)] + (mixed.texts(step) if mixed else [])
        for some in shares(range(len(both)), engine.world, piece):
            yield collated([both[i] for i in some])

    model = begun.language_model(config.compile)
    judges: list[Callable[[Transformer], Mapping[str, float]]] = []
    if judged:
        judges.append(lambda model: {"heldout_loss": _heldout_loss(model, judged, collated)})
    if config.select == "reward" and reward is not None:
        scorer = RewardScorer.load(reward, config.device, config.precision)
        asked = heldout[: config.reward_samples]
        judges.append(lambda model: {"heldout_reward": _heldout_reward(model, begun, asked, scorer)})
    choice = {"loss": ("heldout_loss", "min"), "reward": ("heldout_reward", "max")}.get(config.select)
    run: Run[Transformer, TextBatch] = Run(
        model=model,
        optimizer=optimizer_of(model, config, begun.knows_turns),
        schedule=schedule_of(order.steps, config),
        objective=response_loss,
        micro_batches=micro_batches,
        tokens_after=lambda step: seen[step] + (mixed.tokens * step if mixed else 0),
        label="sft",
        evaluate=(lambda model: {name: v for judge in judges for name, v in judge(model).items()}) if judges else None,
        evaluation_steps=evenly(config.evaluations, order.steps) if judges else frozenset(),
        best_by=choice if judged else None,  # type: ignore[arg-type]
    )
    went = run_training(run, engine, config, out, report)
    begun.save(model, out / "model")
    result = SFTResult(
        demonstrations=len(texts),
        dropped=fitted.dropped,
        heldout_loss=went.evaluation.get("heldout_loss"),
        heldout_reward=went.evaluation.get("heldout_reward"),
        steps=order.steps,
        best_step=went.best_step,
        loss=went.loss,
        tokens=run.tokens_after(order.steps),
        seconds=went.seconds,
        lr=run.optimizer.lr,
    )
    if engine.world.is_main:
        write_json(out / "result.json", to_mapping(result))
    engine.world.barrier()
    return result


@dataclass(frozen=True)
class _Pretraining:
    """Sequences of the pretraining corpus that go along with every step."""

    loader: Loader
    sequences: int
    """A step."""
    context: int
    """Tokens of each."""

    @classmethod
    def of(cls, tokens: Path, config: SFTConfig, context: int, mean_tokens: float) -> "_Pretraining | None":
        if not config.pretraining_share:
            return None
        wanted = config.pretraining_share / (1 - config.pretraining_share) * mean_tokens
        loader = Loader(TokenDataset(tokens / "train"), context, config.seed)
        return cls(loader, max(1, round(wanted / context)), context)

    @property
    def tokens(self) -> int:
        """A step."""
        return self.sequences * self.context

    def texts(self, step: int) -> list[Text]:
        """Those of a step, to be learned whole."""
        rows = self.loader.batch(step * self.sequences, self.sequences).tolist()
        return [Text(tuple(row), 1) for row in rows]


def _running_tokens(order: Order, lengths: Sequence[int]) -> list[int]:
    """Tokens seen after 0, 1, 2, ... steps."""
    found = [0]
    for step in range(order.steps):
        found.append(found[-1] + sum(lengths[i] for i in order.units(step)))
    return found


@torch.no_grad()
def _heldout_loss(model: Transformer, texts: Sequence[Text], collated: Callable[[Sequence[Text]], TextBatch]) -> float:
    total = count = 0.0
    for first in range(0, len(texts), _PIECE):
        loss = response_loss(model, collated(texts[first : first + _PIECE]))
        total, count = total + float(loss.sum), count + float(loss.count)
    return total / count


def _heldout_reward(model: Transformer, start: Start, asked: Sequence[Demonstration], scorer: RewardScorer) -> float:
    """Mean score of one answer to each prompt, drawn from the whole distribution."""
    generator = Generator(decoder_of(model), load_tokenizer(start.folder), (start.chat.end,))
    prompts = [start.chat.prompt(to_mapping(record.prompt)) for record in asked]
    fitting = [i for i, prompt in enumerate(prompts) if len(prompt) < start.limits.context]
    room = SamplingConfig(temperature=1.0, top_p=1.0, max_new_tokens=start.limits.context)
    answers = generator.generate([prompts[i] for i in fitting], room)
    scores = scorer([asked[i].prompt for i in fitting], [answer.text for answer in answers])
    return sum(scores) / len(scores)
