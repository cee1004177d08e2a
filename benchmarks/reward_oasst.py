"""How far can a very small reward model learn people's rankings? Cross-validation over Open-Assistant's trees.

    DANLU_SHARED=... python benchmarks/reward_oasst.py [--folds 5] [--width 64] [--context 1024] [--out DIR]

Folds are cut by the tree, so that no conversation is on both sides. In each fold a tokenizer and a language model are
made from the other folds' text alone (two passes, then SFT on their best replies), and a reward model from their
rankings; nothing has seen the held-out trees. All held-out pairs are then judged together, with intervals over prompts,
beside the better of `longer wins` and `shorter wins`, whose direction is chosen on the pairs themselves. Conversations
that do not fit into the context are left out: at 512 tokens about 450 of 752 pairs are left, at 1,024 about 700. With
--out, the same command goes on where it was ended, also within a training.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

import torch

from danlu.alignment.reward import run_reward
from danlu.alignment.reward_check import check
from danlu.alignment.reward_scorer import RewardScorer
from danlu.alignment.sft import run_sft
from danlu.alignment.texts import Limits, RankedTexts, fit_rankings
from danlu.alignment.tuning_config import RewardConfig, SFTConfig
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.feedback.exchange import read_feedback
from danlu.feedback.records import Record, prompt_text
from danlu.model.family import shape
from danlu.model.huggingface import save_pretrained
from danlu.tokens.shards import TokenWriter
from danlu.tokens.tokenizer import END_OF_TEXT, save_tokenizer, token_id, train_tokenizer
from danlu.training.config import TrainingConfig
from danlu.training.pretrain import pretrain

_VOCABULARY = 2048


def _fold(record: Record, folds: int) -> int:
    """By the first message: all that grew from it stays together."""
    return int(hashlib.sha256(record.prompt[0].content.encode()).hexdigest(), 16) % folds


def _base(texts: list[str], width: int, context: int, out: Path, report: Progress) -> Path:
    """A language model that has read these texts twice."""
    tokenizer = train_tokenizer(texts, _VOCABULARY)
    save_tokenizer(tokenizer, out / "tokens/tokenizer")
    vocabulary = tokenizer.get_vocab_size()
    writer = TokenWriter(out / "tokens/train", vocabulary, token_id(tokenizer, END_OF_TEXT), "none", keep_spans=False)
    count = 0
    for text in texts:
        ids = tokenizer.encode(text).ids
        writer.write(ids, len(text.encode()), "oasst")
        count += len(ids) + 1
    writer.close()
    config = TrainingConfig(context=context, batch_tokens=2048)
    model, _ = pretrain(shape(width, vocabulary, context), out / "tokens", 2 * count, config, out / "pretrain", report)
    save_pretrained(model.config, model.state_dict(), out / "tokens/tokenizer", out / "base", torch.float32)
    return out / "base"


def main() -> None:
    """Run it and print one JSON line a fold, then the whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--context", type=int, default=1024, help="tokens of a conversation")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    path = Path(os.environ["DANLU_SHARED"]) / "data/feedback/oasst_en_100_trees.jsonl"
    out = arguments.out or Path(tempfile.mkdtemp(prefix="danlu-oasst-"))
    data, report, began = read_feedback(path), Progress(silent=True), time.monotonic()
    print(data.summary())
    judged: list[RankedTexts] = []
    scores: list[list[float]] = []
    for fold in range(arguments.folds):
        folder = out / f"fold-{fold}"
        learned = [r for r in data.rankings if _fold(r, arguments.folds) != fold]
        heldout = [r for r in data.rankings if _fold(r, arguments.folds) == fold]
        shown = [r for r in data.demonstrations if _fold(r, arguments.folds) != fold]
        texts = [f"{prompt_text(r.prompt)}\n\n{text}" for r in learned for text in r.completions]
        base = _base(texts, arguments.width, arguments.context, folder, report)
        run_sft(base, shown, [], SFTConfig(epochs=2, context=arguments.context), folder / "sft", report)
        result = run_reward(
            folder / "sft/model", learned, [], shown, RewardConfig(batch_size=8, epochs=2), folder / "reward", report
        )
        scorer = RewardScorer.load(folder / "reward/model")
        units = fit_rankings(heldout, scorer.chat, Limits(arguments.context, arguments.context)).units
        flat = iter(scorer.score_texts([text for unit in units for text in unit.texts]))
        mine = [[next(flat) for _ in unit.texts] for unit in units]
        judged += units
        scores += mine
        here = check(units, mine)
        row = {"fold": fold, "comparisons": result.comparisons, "train_loss": result.loss, "pairs": here.pairs,
               "accuracy": here.accuracy.value, "seconds": round(time.monotonic() - began)}  # fmt: skip
        print(json.dumps(row), flush=True)
    print(json.dumps(to_mapping(check(judged, scores))))


if __name__ == "__main__":
    main()
