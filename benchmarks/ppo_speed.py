"""How fast PPO learns beside TRL 1.9's (`trl.experimental.ppo`), on the same shape, and where its time goes.

    python benchmarks/ppo_speed.py [--trl PYTHON] [--rounds 2] [--json FILE]

A model of 2.8M parameters (4 layers, width 256, vocabulary 2048), random weights; 64 episodes an iteration, prompts of
32 tokens, responses of 64, one epoch; reward model, reference and value network are of the same size. TRL needs an
environment of its own (`uv venv E && uv pip install --python E/bin/python trl==1.9.0`); `--trl E/bin/python` names it.
The two take turns, and each is judged by its best round: other work on the machine can only slow it down. TRL runs in
its default single precision and, where the processor has bf16 products, under bf16 autocast; danlu in what it would
choose. Give OMP_NUM_THREADS for both. Episodes are also counted by the second of processor time (user and system, all
threads), which other work does not change much.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # TRL's environment has no danlu
    from danlu.model.config import ModelConfig

EPISODES, PROMPT_TOKENS, RESPONSE_TOKENS, VOCABULARY = 64, 32, 64, 2048
WIDTH, LAYERS, INNER, HEADS = 256, 4, 384, 4
END, PAD = 2, 1


@dataclass(frozen=True)
class Work:
    """What an iteration of PPO is to do: episodes, and their lengths (tokens)."""

    episodes: int = EPISODES
    prompt: int = PROMPT_TOKENS
    response: int = RESPONSE_TOKENS


def danlu_speed(
    iterations: int, shape: "ModelConfig | None" = None, work: Work = Work(), device: str = "cpu"
) -> dict[str, Any]:
    """Episodes a second without the first iteration, and where the time went (seconds an iteration).

    Also the largest `approxkl`: with one minibatch an iteration the ratio is 1 at its one update, and this is 0 where
    scoring before learning and in learning agree to the last bit.
    """
    import torch

    from danlu.alignment.learning import Begin, Weights, learn
    from danlu.alignment.ppo import PPO
    from danlu.alignment.ppo_config import PPOConfig
    from danlu.alignment.queries import Query
    from danlu.common.progress import Progress
    from danlu.feedback.records import prompt_of
    from danlu.model.config import ModelConfig
    from danlu.model.score import ScoreModel
    from danlu.model.transformer import Transformer

    shape = shape or ModelConfig(VOCABULARY, WIDTH, INNER, LAYERS, HEADS, HEADS, WIDTH // HEADS, 128)
    place = torch.device(device)
    generator = torch.Generator().manual_seed(0)
    policy = Transformer(shape)
    policy.initialize(generator)
    config = PPOConfig(
        episodes=work.episodes * iterations,
        batch_size=work.episodes,
        minibatch_size=work.episodes,
        max_new_tokens=work.response,
        device=device,
        checkpoint_seconds=1e9,
    )
    from danlu.hardware.device import compute_dtype

    judge = ScoreModel(shape, compute_dtype(place))
    judge.initialize_from(policy.state_dict(), generator)
    judge.to(place)
    prompts = torch.randint(3, shape.vocab_size, (work.episodes * 4, work.prompt), generator=generator).tolist()
    queries = [Query(prompt_of(str(i)), tuple(tokens)) for i, tokens in enumerate(prompts)]

    @torch.no_grad()
    def reward(queries: Any, responses: Any) -> torch.Tensor:
        rows = [[*query.tokens, *response] for query, response in zip(queries, responses, strict=True)]
        width = max(map(len, rows))
        tokens = torch.tensor([row + [PAD] * (width - len(row)) for row in rows], device=place)
        return judge.scores_at(tokens, torch.tensor([len(row) - 1 for row in rows], device=place))

    times: list[float] = []
    processor: list[float] = []
    parts: list[dict[str, float]] = []
    approximate: list[float] = []
    after = PPO.after_step

    def noted(self: PPO, result: Any) -> dict[str, float]:
        found = after(self, result)
        if place.type != "cpu":
            torch.accelerator.synchronize(place)
        approximate.append(found["policy/approxkl_avg"])
        times.append(time.perf_counter())
        processor.append(time.process_time())
        parts.append(dict(self.seconds))
        return found

    PPO.after_step = noted  # type: ignore[method-assign, assignment]
    try:
        with tempfile.TemporaryDirectory() as out:
            begin = Begin(Weights(shape, policy.state_dict()), Weights(shape, judge.state_dict()), (END,), PAD)
            learn(config, begin, queries, reward, Path(out), Progress(silent=True))
    finally:
        PPO.after_step = after  # type: ignore[method-assign]
    count = len(times) - 1
    seconds = (times[-1] - times[0]) / count
    table = {name: sum(part.get(name, 0.0) for part in parts[1:]) / count for name in parts[-1]}
    table["optimizer and the rest"] = seconds - sum(table.values())
    return {
        "episodes_per_second": work.episodes / seconds,
        "per_processor_second": work.episodes * count / (processor[-1] - processor[0]),
        "seconds": table,
        "approxkl": max(approximate),
    }


def trl_speed(iterations: int, way: str) -> dict[str, Any]:
    """Episodes a second of TRL without the first iteration. Runs in TRL's environment."""
    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen3Config,
        Qwen3ForCausalLM,
        Qwen3ForSequenceClassification,
        TrainerCallback,
    )
    from trl.experimental.ppo import PPOConfig, PPOTrainer  # type: ignore[import-not-found]

    torch.manual_seed(0)
    words = {f"w{i}": i for i in range(VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w0")), pad_token=f"w{PAD}", eos_token=f"w{END}"
    )
    tokenizer.padding_side = "left"
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": WIDTH // HEADS,
        "max_position_embeddings": 128,
        "tie_word_embeddings": True,
        "pad_token_id": PAD,
        "eos_token_id": END,
    }
    policy, reference = (Qwen3ForCausalLM(Qwen3Config(**shape)) for _ in range(2))
    reference.load_state_dict(policy.state_dict())
    value, judge = (Qwen3ForSequenceClassification(Qwen3Config(**shape, num_labels=1)) for _ in range(2))
    rows = torch.randint(3, VOCABULARY, (EPISODES * (iterations + 1), PROMPT_TOKENS)).tolist()
    times: list[float] = []
    work: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            times.append(time.perf_counter())
            work.append(time.process_time())

    with tempfile.TemporaryDirectory() as out:
        trainer = PPOTrainer(
            args=PPOConfig(
                output_dir=out,
                per_device_train_batch_size=32,
                gradient_accumulation_steps=EPISODES // 32,
                num_mini_batches=1,
                num_ppo_epochs=1,
                total_episodes=EPISODES * iterations,
                response_length=RESPONSE_TOKENS,
                local_rollout_forward_batch_size=EPISODES,
                num_sample_generations=0,
                temperature=1.0,
                kl_coef=0.02,
                report_to="none",
                save_strategy="no",
                use_cpu=True,
                bf16=way == "bf16",
                gradient_checkpointing=False,
            ),
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=judge,
            value_model=value,
            train_dataset=Dataset.from_dict({"input_ids": rows}),
            eval_dataset=Dataset.from_dict({"input_ids": rows[:8]}),
            callbacks=[Clock()],
        )
        trainer.train()
    episodes = EPISODES * (len(times) - 1)
    return {
        "episodes_per_second": episodes / (times[-1] - times[0]),
        "per_processor_second": episodes / (work[-1] - work[0]),
    }


def trl_ways() -> tuple[str, ...]:
    """Its default, and bf16 where the processor multiplies in it: elsewhere that takes many times as long."""
    import torch

    from danlu.hardware.device import compute_dtype

    return ("fp32", "bf16") if compute_dtype(torch.device("cpu")) == torch.bfloat16 else ("fp32",)


def ask(python: str, way: str, iterations: int) -> dict[str, Any]:
    """Run one way in a process of its own."""
    command = [python, __file__, "--way", way, "--iterations", str(iterations)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl", help="the interpreter of an environment with trl 1.9")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=4, help="iterations of a round; the first is not timed")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        way, count = arguments.way, arguments.iterations
        print(json.dumps(danlu_speed(count) if way == "danlu" else trl_speed(count, way.removeprefix("trl-"))))
        return

    ways = {"danlu": sys.executable}
    if arguments.trl:
        ways |= {f"trl-{way}": arguments.trl for way in trl_ways()}
    best: dict[str, dict[str, Any]] = {}
    for _ in range(arguments.rounds):
        for way, python in ways.items():
            found = ask(python, way, arguments.iterations)
            if way not in best or found["episodes_per_second"] > best[way]["episodes_per_second"]:
                best[way] = found
    for way, found in best.items():
        rates = found["episodes_per_second"], found["per_processor_second"]
        print("{:<10}{:8.2f} episodes/s {:8.2f} episodes a processor second".format(way, *rates))
    for what, name in (("time", "episodes_per_second"), ("processor time", "per_processor_second")):
        theirs = [found[name] for way, found in best.items() if way != "danlu"]
        if theirs:
            print(f"by {what} danlu is {best['danlu'][name] / max(theirs):.2f} times as fast as TRL's better way")
    if not arguments.trl:
        print("TRL was not run: name an environment that has it with --trl")
    total = sum(best["danlu"]["seconds"].values())
    for part, seconds in sorted(best["danlu"]["seconds"].items(), key=lambda item: -item[1]):
        print(f"  {part:<24}{seconds:7.3f} s an iteration  {seconds / total:5.0%}")
    if arguments.json:
        arguments.json.write_text(json.dumps(best, indent=2) + "\n")


if __name__ == "__main__":
    main()
