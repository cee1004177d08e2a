"""PPO in fp32: the same losses and parameters on one and two processes, in micro-batches of 1 and 4, behind 0 and 7
tokens of padding, and whether it was interrupted or not.

On one process all eight cases; on two the four in which every two settings meet in all ways (an orthogonal array), and
all eight where the environment variable DANLU_ALL_CASES is set (which takes some minutes more).
"""

import itertools
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from tests.processes import torchrun

HALF = [(1, 0, False), (1, 7, True), (4, 0, True), (4, 7, False)]
EVERY = list(itertools.product((1, 4), (0, 7), (False, True)))
CASES = {1: EVERY, 2: EVERY if os.environ.get("DANLU_ALL_CASES") else HALF}
"""For each number of processes: micro-batch size, padding on the left, resumed."""

SCRIPT = """
import json, sys
from dataclasses import replace
from pathlib import Path
import torch
from danlu.alignment.learner import Mix
from danlu.alignment.learning import Begin, Weights, learn
from danlu.alignment.ppo import PPO
from danlu.alignment.ppo_config import PPOConfig
from danlu.alignment.queries import Query
from danlu.common.progress import Progress
from danlu.feedback.records import prompt_of
from danlu.model.config import ModelConfig
from danlu.model.score import ScoreModel
from danlu.model.transformer import Transformer
from danlu.training.distributed import join_world

torch.set_num_threads(1)
shape = ModelConfig(vocab_size=16, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                    num_key_value_heads=1, head_dim=16, max_position_embeddings=40)
generator = torch.Generator().manual_seed(0)
state = {name: ("norm" in name) + 0.2 * torch.randn(p.shape, generator=generator)
         for name, p in Transformer(shape).named_parameters()}
value = ScoreModel(shape)
value.initialize_from(state, generator)
begin = Begin(Weights(shape, state), Weights(shape, value.state_dict()), (3,), 1)
queries = [Query(prompt_of(str(i)), tuple(range(4, 5 + i % 5))) for i in range(20)]
config = PPOConfig(episodes=16, batch_size=8, minibatch_size=4, epochs=2, max_new_tokens=8, lr=3e-3, lr_width=None,
                   value_lr=3e-3, value_lr_width=None, warmup_iterations=1, adaptive_kl=True, whiten_rewards=True,
                   ptx_ratio=2, precision="fp32", device="cpu", checkpoint_seconds=0.0)

class Sequences:
    def batch(self, first, count):
        return ((torch.arange(first, first + count)[:, None] * 7 + torch.arange(9) * 5) % 16).numpy()

def reward(queries, responses):
    return torch.tensor([sum(r.count(t) * t for t in (7, 9)) / len(r) for r in responses])

class Killed(BaseException):
    pass

def killed_after(step):
    original = PPO.after_step
    def dying(self, result):
        if result.step == step:
            raise Killed
        return original(self, result)
    PPO.after_step = dying
    return original

out, world = Path(sys.argv[1]), join_world(torch.device("cpu"))
for size, padding, resumed in json.loads(sys.argv[2]):
    place = out / f"{world.size}-{size}-{padding}-{resumed}"
    settings = replace(config, micro_batch_size=size)
    arguments = (settings, begin, queries, reward, place, Progress(silent=True))
    options = {"mix": Mix(Sequences(), 8, 8), "left_padding": padding}
    if resumed:
        original = killed_after(7)
        try:
            learn(*arguments, **options)
        except Killed:
            pass
        PPO.after_step = original
    weights, _ = learn(*arguments, **options)
    if world.is_main:
        torch.save(weights, place / "weights.pt")
"""


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo with FSDP is not supported there")
def test_ppo_is_the_same_on_one_and_two_processes(tmp_path: Path) -> None:
    for count in (1, 2):
        torchrun(count, SCRIPT, tmp_path, tmp_path, json.dumps(CASES[count]), timeout=900)
    first = tmp_path / "1-4-0-False"
    expected, weights = lines(first), torch.load(first / "weights.pt")
    assert len(expected) == 8
    every = [(count, *one) for count, some in CASES.items() for one in some]
    for count, size, padding, resumed in every:
        case = tmp_path / f"{count}-{size}-{padding}-{resumed}"
        found = lines(case)
        assert len(found) == 8, case.name
        for ours, theirs in zip(found, expected, strict=True):
            for name in ("loss", "loss/policy_avg", "loss/value_avg", "loss/ptx_avg", "objective/kl", "beta"):
                assert ours.get(name) == pytest.approx(theirs.get(name), abs=1e-5), (case.name, name)
        for name, tensor in torch.load(case / "weights.pt").items():
            torch.testing.assert_close(
                tensor, weights[name], atol=1e-5, rtol=0, msg=lambda text, c=case: f"{c.name}: {text}"
            )
