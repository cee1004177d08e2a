"""How many tokens danlu's recipe needs for the loss that a tuned AdamW with cosine decay reaches.

    python benchmarks/tokens_to_loss.py [--text FOLDER] [--json FILE] [--tokens 3e6] [--seeds 3] [--width 128]

One model (Qwen3's layout, 0.9M parameters with its table at width 128), real text (the running interpreter's standard
library, and every text file in --text). The baseline is AdamW with warm-up and a cosine to a tenth; its learning rate
and batch are chosen by their loss on half the tokens, and danlu's by theirs on a quarter: each from a grid of nine and
from its best on, until no neighbour (half or twice the rate or the batch) is better. Then, for three seeds: the
baseline is trained for all its tokens, and danlu's recipe for growing shares of them, each share a whole run with its
own cooldown. danlu's recipe is all of it, fresh weights too; the baseline's weights are drawn at random, with outputs
of zero. The ratio is the share at which danlu's mean loss meets the baseline's mean loss, interpolated in logs
between the shares around it."""

import argparse
import itertools
import json
import math
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from danlu.common.progress import Progress
from danlu.corpus.build import build_corpus
from danlu.corpus.config import CorpusConfig
from danlu.evaluation.heldout import heldout_evaluator
from danlu.hardware.device import compute_dtype
from danlu.model.config import ModelConfig
from danlu.model.family import shape
from danlu.model.transformer import Transformer
from danlu.tokens.build import build_tokens
from danlu.tokens.config import TokensConfig
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.loader import Loader
from danlu.training.config import TrainingConfig
from danlu.training.dials import hyperparameters
from danlu.training.distributed import World
from danlu.training.loop import train_steps
from danlu.training.optimizer import Optimizer
from danlu.training.pretrain import TokenBatch, next_token_loss
from danlu.training.schedule import Schedule

CONTEXT, VOCABULARY = 128, 1024
HELDOUT_MEGABYTES = 0.4


@dataclass(frozen=True)
class Setting:
    """One trial: a peak learning rate and a batch."""

    lr: float
    batch_tokens: int


@dataclass(frozen=True)
class Bench:
    """What both sides share: text, model, device."""

    tokens: Path
    model: ModelConfig
    evaluate: Callable[[Transformer], tuple[float, float]]
    dtype: torch.dtype

    def _data(self, batch_tokens: int, seed: int) -> Callable[[int], list[TokenBatch]]:
        loader = Loader(TokenDataset(self.tokens / "train"), CONTEXT, seed)
        sequences = batch_tokens // CONTEXT

        def at(step: int) -> list[TokenBatch]:
            data = torch.from_numpy(loader.batch(step * sequences, sequences))
            return [
                TokenBatch(piece[:, :-1].contiguous(), piece[:, 1:].contiguous(), piece[:, 1:].numel())
                for piece in data.split(4096 // CONTEXT)
            ]

        return at

    def _fresh(self, seed: int, induction: bool) -> Transformer:
        model = Transformer(self.model, self.dtype)
        model.initialize(torch.Generator().manual_seed(seed), induction=induction)
        return model

    def adamw(self, setting: Setting, tokens: int, seed: int) -> float:
        """Held-out loss of the baseline."""
        model, data = self._fresh(seed, induction=False), self._data(setting.batch_tokens, seed)
        steps = tokens // setting.batch_tokens
        matrices = [p for p in model.parameters() if p.dim() > 1]
        vectors = [p for p in model.parameters() if p.dim() < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, setting.lr, betas=(0.9, 0.95), fused=True)
        warmup = max(1, steps // 50)
        for step in range(steps):
            cosine = 0.1 + 0.45 * (1 + math.cos(math.pi * step / steps))
            for group in optimizer.param_groups:
                group["lr"] = setting.lr * min((step + 1) / warmup, cosine)
            for batch in data(step):
                loss = next_token_loss(model, batch)
                (loss.sum / setting.batch_tokens).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return self.evaluate(model)[0]

    def danlu(self, setting: Setting, tokens: int, seed: int) -> float:
        """Held-out loss of danlu's recipe."""
        config = TrainingConfig(context=CONTEXT, batch_tokens=setting.batch_tokens, lr=setting.lr)
        model, data = self._fresh(seed, config.induction), self._data(setting.batch_tokens, seed)
        hyper = hyperparameters(self.model, tokens, config)
        optimizer = Optimizer(model, hyper.lr, hyper.table_lr, hyper.weight_decay, self.dtype)
        schedule: Schedule = hyper.schedule
        for _ in train_steps(
            model, optimizer, schedule, next_token_loss, data, World(), first_step=0, clip=1.0, nonfinite="stop"
        ):
            pass
        return self.evaluate(model)[0]


def tune(run: Callable[[Setting, int, int], float], grid: list[Setting], tokens: int, name: str) -> Setting:
    """The setting with the lowest loss at a length: of the grid, and from there on while a neighbour is better."""
    losses: dict[Setting, float] = {}
    while trials := [setting for setting in grid if setting not in losses]:
        for setting in trials:
            losses[setting] = run(setting, tokens, 0)
            where = f"lr {setting.lr:g}, {setting.batch_tokens} tokens a step"
            print(f"  {name}: {where}: {losses[setting]:.4f}", flush=True)
        best = min(losses, key=lambda setting: losses[setting])
        rates = [Setting(lr, best.batch_tokens) for lr in (best.lr / 2, best.lr * 2)]
        batches = [Setting(best.lr, b) for b in (best.batch_tokens // 2, best.batch_tokens * 2) if b >= CONTEXT]
        grid = rates + batches
    return best


def crossing(shares: list[float], losses: list[float], goal: float) -> float:
    """The share at which a falling loss meets the goal, straight in logs; inf where it does not."""
    for (x0, y0), (x1, y1) in itertools.pairwise(zip(shares, losses, strict=True)):
        if y0 >= goal >= y1:
            return math.exp(math.log(x0) + (y0 - goal) / (y0 - y1) * math.log(x1 / x0))
    return shares[0] if losses[0] < goal else math.inf


def plain_texts(folder: Path | None, out: Path) -> list[str]:
    """The texts of a folder as files that need no field named: of a JSON line, all its strings."""
    out.mkdir()
    found = []
    for path in sorted(folder.iterdir()) if folder else []:
        copy = out / path.name
        if path.suffix == ".jsonl":
            records = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
            texts = ("\n".join(v for v in record.values() if isinstance(v, str)) for record in records)
            copy.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        elif path.suffix in (".txt", ".md"):
            copy.write_bytes(path.read_bytes())
        if copy.exists():
            found.append(str(copy))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, help="a folder of more text")
    parser.add_argument("--tokens", type=float, default=3e6, help="tokens of the baseline")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=128, help="of the model's residual stream")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    total = int(arguments.tokens)

    with tempfile.TemporaryDirectory() as folder:
        work, quiet = Path(folder), Progress(terminal=False)
        data = ("stdlib", *plain_texts(arguments.text, work / "text"))
        build_corpus(CorpusConfig(data=data, heldout_megabytes=HELDOUT_MEGABYTES), work / "corpus", quiet)
        summary = build_tokens(work / "corpus", TokensConfig(vocab_size=VOCABULARY), work / "tokens", quiet)
        model = shape(arguments.width, summary.vocab_size, CONTEXT)
        names = ", ".join(Path(item).name for item in data)
        print(f"{model.num_parameters() / 1e6:.2f}M parameters, {total / 1e6:g}M tokens of {names}", flush=True)
        dtype = compute_dtype(torch.device("cpu"))
        bench = Bench(work / "tokens", model, heldout_evaluator(work / "tokens", CONTEXT), dtype)

        adamw_grid = [Setting(lr, batch) for batch in (2048, 4096, 8192) for lr in (2e-3, 4e-3, 8e-3)]
        danlu_grid = [Setting(lr, batch) for batch in (2048, 4096, 8192) for lr in (0.01, 0.02, 0.04)]
        adamw = tune(bench.adamw, adamw_grid, total // 2, "AdamW")
        danlu = tune(bench.danlu, danlu_grid, total // 4, "danlu")

        seeds = range(arguments.seeds)
        goal = statistics.mean(bench.adamw(adamw, total, seed) for seed in seeds)
        print(f"AdamW with cosine, lr {adamw.lr:g}, {adamw.batch_tokens} tokens a step: {goal:.4f} after all tokens")
        shares, losses = [0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.45, 0.6, 0.8, 1.0], []
        for share in shares:
            losses.append(statistics.mean(bench.danlu(danlu, int(share * total), seed) for seed in seeds))
            print(f"danlu, {share:.0%} of the tokens: {losses[-1]:.4f}", flush=True)
            if losses[-1] < goal:
                break
        ratio = crossing(shares[: len(losses)], losses, goal)
        print(f"danlu reaches the baseline's loss with {ratio:.2f} of its tokens ({arguments.seeds} seeds).")
        if arguments.json:
            figures = {"ratio": ratio, "goal": goal, "shares": shares[: len(losses)], "losses": losses}
            arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
