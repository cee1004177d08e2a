"""Recorded steps; they need a CUDA device."""

import pytest
import torch

from danlu.generation.batch import Ends, draw
from danlu.generation.config import SamplingConfig
from danlu.generation.decoder import Decoder
from danlu.generation.engine import Engine
from danlu.generation.generate import Generator
from danlu.generation.replay import reach
from danlu.generation.requests import Request
from danlu.model.config import ModelConfig
from danlu.model.transformer import Transformer
from danlu.tokens.tokenizer import train_tokenizer

PROMPTS = [[(7 * i + j) % 500 + 1 for j in range(5 + 3 * i)] for i in range(20)]


def test_a_recording_reads_as_far_as_it_must() -> None:
    for longest in (0, 1, 255, 256, 1000):
        assert longest <= reach(longest) < longest + 256
        assert (reach(longest) + 1) % 256 == 0


@pytest.fixture(scope="module", params=[True, False], ids=["compiled", "plain"])
def decoders(request: pytest.FixtureRequest) -> tuple[Decoder, Decoder]:
    """Recording steps, compiled or not, and step by step in plain PyTorch; in fp32."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    config = ModelConfig(512, 128, 384, 3, 4, 2, 32, max_position_embeddings=640)
    model = Transformer(config)
    draws = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.1, generator=draws)
    model.cuda()
    recording = Decoder(config, model.state_dict(), torch.float32, fuse=request.param)
    plain = Decoder.of(model)
    plain.replays = False
    assert recording.replays
    assert recording.fuses == request.param
    return recording, plain


@pytest.mark.parametrize(
    "config",
    [
        SamplingConfig(1.0, top_k=0, top_p=1.0, min_p=0.0, max_new_tokens=400, seed=3),
        SamplingConfig(0.7, top_k=20, top_p=1.0, min_p=0.0, max_new_tokens=60),
        SamplingConfig(1.0, top_k=0, top_p=0.8, min_p=0.01, max_new_tokens=60),
        SamplingConfig(0.0, max_new_tokens=60),
    ],
    ids=["plain", "top_k", "top_p", "greedy"],
)
def test_recorded_steps_draw_what_single_ones_draw(decoders: tuple[Decoder, Decoder], config: SamplingConfig) -> None:
    ends = Ends.at([1, 2, 3, 4, 5], 512)  # rows end at different steps: the batch shrinks
    recorded, plain = (draw(decoder, PROMPTS, config, ends) for decoder in decoders)
    alike = [a.tokens == b.tokens and a.finish_reason == b.finish_reason for a, b in zip(recorded, plain, strict=True)]
    assert sum(alike) >= 17  # rounding may turn a draw, and with it what follows
    for a, b in zip(recorded, plain, strict=True):
        same = min(len(a.tokens), 4)
        assert a.logprobs[:1] == pytest.approx(b.logprobs[:1], abs=1e-3)
        assert len(a.tokens) == len(a.logprobs) >= same


def test_the_engine_answers_the_same(decoders: tuple[Decoder, Decoder]) -> None:
    answers = []
    for decoder in decoders:
        engine = Engine(Generator(decoder, train_tokenizer(["a text that nobody reads"], 260), stop=()))
        try:
            greedy = SamplingConfig(temperature=0.0)
            answers.append(
                [
                    engine.complete(Request(tuple(t % 250 for t in p), greedy, max_new_tokens=30)).pop().tokens
                    for p in PROMPTS
                ]
            )
        finally:
            engine.close()
    assert sum(a == b for a, b in zip(*answers, strict=True)) >= 17
