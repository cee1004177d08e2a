"""Rollouts: what is drawn is what is scored, whatever stands beside it."""

import torch
from torch import Tensor

from danlu.alignment.rollout import Rollout, decoder_of, pack, roll_out
from danlu.alignment.texts import rounded_up
from danlu.generation.decoder import Decoder
from danlu.model.config import ModelConfig
from danlu.model.transformer import Transformer

STOP, PAD = (3,), 1
SHAPE = ModelConfig(
    vocab_size=24,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    max_position_embeddings=64,
)
PROMPTS = [[5], [6, 7, 3, 8], [9] * 17, [4, 5, 6], [10, 11]] * 8
NUMBERS = list(range(100, 140))


def model(dtype: torch.dtype = torch.float32) -> Transformer:
    found = Transformer(SHAPE, dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            centre = 1.0 if "norm" in name else 0.0
            parameter.copy_(centre + 0.3 * torch.randn(parameter.shape, generator=generator))
    return found


def sample(decoder: Decoder, rows: slice = slice(None), **changes: object) -> Rollout:
    options: dict[str, object] = {"max_new_tokens": 20, "temperature": 1.0, "seed": 0, "batch_size": 64} | changes
    return roll_out(decoder, PROMPTS[rows], NUMBERS[rows], STOP, PAD, **options)  # type: ignore[arg-type]


@torch.no_grad()
def scored(policy: Transformer, rollout: Rollout, temperature: float) -> Tensor:
    logprobs = (policy(rollout.tokens)[:, :-1] / temperature).log_softmax(-1)
    return logprobs.gather(-1, rollout.tokens[:, 1:, None])[..., 0]


def test_behaviour_logprobs_are_the_scoring_forwards() -> None:
    policy = model()
    for temperature in (1.0, 0.7, 1.6):
        rollout = sample(decoder_of(policy), temperature=temperature)
        expected = torch.where(rollout.mask, scored(policy, rollout, temperature), 0.0)
        torch.testing.assert_close(rollout.logprobs, expected, atol=1e-5, rtol=0)
        assert (rollout.logprobs[rollout.mask] < 0).all()
        assert (rollout.logprobs[~rollout.mask] == 0).all()


def test_behaviour_logprobs_in_bf16_are_near_the_scoring_forwards() -> None:
    policy = model(torch.bfloat16)
    rollout = sample(decoder_of(policy))
    gap = (rollout.logprobs - scored(policy, rollout, 1.0))[rollout.mask].abs()
    assert gap.mean() < 0.02  # bf16 keeps 8 bits: which is why PPO scores again before it compares


def test_rows_are_prompt_response_padding() -> None:
    rollout = sample(decoder_of(model()))
    assert {bool(end) for end in rollout.ended} == {True, False}
    responses = rollout.responses()
    for row, (prompt, response) in enumerate(zip(PROMPTS, responses, strict=True)):
        tokens = rollout.tokens[row].tolist()
        assert tokens == prompt + response + [PAD] * (len(tokens) - len(prompt) - len(response))
        assert STOP[0] not in response[:-1]
        assert rollout.ended[row] == (response[-1] == STOP[0])
        assert rollout.ended[row] or len(response) == 20
        assert rollout.mask[row].sum() == len(response) == rollout.lengths[row]


def test_a_row_does_not_depend_on_its_batch_and_depends_on_its_number_and_seed() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        decoder = decoder_of(model(dtype))
        together = sample(decoder)
        for row in (0, 2, 6, 39):
            alone = sample(decoder, slice(row, row + 1))
            assert alone.responses()[0] == together.responses()[row]
            width = alone.logprobs.size(1)
            assert torch.equal(alone.logprobs[0], together.logprobs[row, :width])
        assert sample(decoder, batch_size=7).responses() == together.responses()
        assert sample(decoder, seed=1).responses() != together.responses()
        assert len({tuple(response) for response in together.responses()[::5]}) > 4  # the same prompt every time


def test_processes_draw_different_responses_and_together_those_of_one() -> None:
    decoder = decoder_of(model())
    halves = [sample(decoder, slice(0, 20)).responses(), sample(decoder, slice(20, 40)).responses()]
    assert halves[0] != halves[1]  # the prompts are the same, the episodes' numbers are not
    assert halves[0] + halves[1] == sample(decoder).responses()


def test_what_comes_behind_the_first_end_token_is_dropped() -> None:
    exact = pack([[5, 3, 6]], [[7, 3]], [[-1.0, -2.0]], STOP, PAD, width=8)
    past = pack([[5, 3, 6]], [[7, 3, 9, 3, 4]], [[-1.0, -2.0, -3.0, -4.0, -5.0]], STOP, PAD, width=8)
    for name in exact.__dataclass_fields__:
        assert torch.equal(getattr(exact, name), getattr(past, name))
    assert exact.ended.all()  # by its own end token, not by the prompt's
    assert not pack([[5, 3]], [[7]], [[-1.0]], STOP, PAD).ended.any()


def test_padding_on_the_left_moves_everything_alike() -> None:
    rollout = sample(decoder_of(model()))
    moved = rollout.padded_left(7, PAD)
    assert moved.responses() == rollout.responses()
    assert torch.equal(moved.mask[:, 7:], rollout.mask)
    assert torch.equal(moved.logprobs[:, 7:], rollout.logprobs)
    assert rollout.positions is None
    assert moved.positions is not None
    assert moved.segments is not None
    assert moved.positions[0, :9].tolist() == [0] * 8 + [1]
    assert moved.segments[0, :9].tolist() == [-1] * 7 + [0, 0]


def test_some_rows_are_cut_to_the_longest_of_them() -> None:
    rollout = sample(decoder_of(model()))
    index = torch.tensor([8, 0])
    few = rollout.rows(index)
    assert few.responses() == [rollout.responses()[8], rollout.responses()[0]]
    assert few.tokens.size(1) == min(rollout.tokens.size(1), rounded_up(int(few.response_ends.max()), 16))


@torch.no_grad()
def test_padding_on_the_left_changes_no_logprob() -> None:
    policy = model()
    rollout = sample(decoder_of(policy))
    for count in (1, 7, 32):
        moved = rollout.padded_left(count, PAD)
        targets = torch.where(moved.mask, moved.tokens[:, 1:], -1)
        places = [x[:, :-1] for x in (moved.positions, moved.segments) if x is not None]
        logprobs, _ = policy.token_logprobs(moved.tokens[:, :-1].contiguous(), targets, *places)
        torch.testing.assert_close(logprobs[:, count:], rollout.logprobs, atol=1e-5, rtol=0)
