"""Padding on the left and several texts in one row change nothing for a text: logits, losses, gradients, scores."""

import pytest
import torch
from torch import Tensor

from danlu.model import ops
from danlu.model.config import ModelConfig
from danlu.model.score import ScoreModel
from danlu.model.transformer import Transformer, positions_of

CONFIG = ModelConfig(
    vocab_size=53,
    hidden_size=48,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
)
LENGTHS = (9, 4, 17)
PAD = 52


def filled(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(("norm" in name) + 0.1 * torch.randn(parameter.shape, generator=generator))


def texts() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, PAD, (length,), generator=generator) for length in LENGTHS]


def packed(padding: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, positions and segments (1, T) of all texts in one row behind some padding."""
    tokens = torch.cat([torch.full((padding,), PAD), *texts()])[None]
    numbers = [torch.full((padding,), -1), *(torch.full((n,), i) for i, n in enumerate(LENGTHS))]
    segments = torch.cat(numbers)[None]
    return tokens, positions_of(segments), segments


@pytest.fixture(params=["fused", "plain"], autouse=True)
def _path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(ops, "kernels_for", lambda x: None)


def test_positions_begin_anew_in_each_text() -> None:
    segments = torch.tensor([[-1, -1, 0, 0, 0, 1, 1, 2]])
    assert positions_of(segments).tolist() == [[0, 1, 0, 1, 2, 0, 1, 0]]


@pytest.mark.parametrize("padding", [0, 7])
def test_a_text_in_a_row_of_many_has_its_own_logits(padding: int) -> None:
    model = Transformer(CONFIG)
    filled(model)
    alone = torch.cat([model(text[None])[0] for text in texts()])
    together = model(*packed(padding))[0, padding:]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_the_texts_alone() -> None:
    model = Transformer(CONFIG)
    filled(model)
    for text in texts():
        model.loss(text[None, :-1], text[None, 1:]).backward()
    alone = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    tokens, positions, segments = packed(7)
    targets = tokens.roll(-1)
    targets[segments != segments.roll(-1)] = -1
    targets[segments < 0] = -1
    model.loss(tokens, targets, positions, segments).backward()
    for parameter, want in zip(model.parameters(), alone, strict=True):
        torch.testing.assert_close(parameter.grad, want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("keep", [0, 2**25])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_the_logits_with_their_gradient(
    temperature: float, keep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "_KEPT_LOGITS", keep)
    model = Transformer(CONFIG)
    filled(model)
    tokens, positions, segments = packed(3)
    targets = tokens.roll(-1)
    targets[segments != segments.roll(-1)] = -1
    weights = torch.linspace(-1, 2, tokens.numel())[None]

    want = torch.log_softmax(model(tokens, positions, segments) / temperature, dim=-1)
    entropy = -(want.exp() * want).sum(-1)
    want = torch.where(targets >= 0, want.gather(-1, targets.clamp_min(0)[..., None])[..., 0], 0.0)
    parameters = list(model.parameters())
    want_gradients = torch.autograd.grad((want * weights).sum(), parameters)

    got, entropies = model.token_logprobs(tokens, targets, positions, segments, temperature=temperature)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropies[targets >= 0], entropy[targets >= 0], atol=1e-4, rtol=1e-4)
    assert (entropies[targets < 0] == 0).all()
    assert not entropies.requires_grad
    gradients = torch.autograd.grad((got * weights).sum(), parameters)
    for gradient, wanted in zip(gradients, want_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-4, rtol=1e-3)


def test_a_score_is_read_at_the_last_real_token_wherever_the_text_stands() -> None:
    model = ScoreModel(CONFIG)
    filled(model)
    alone = torch.cat([model(text[None])[:, -1] for text in texts()])
    ends = torch.tensor(LENGTHS).cumsum(0)[None] + 7 - 1
    tokens, positions, segments = packed(7)
    torch.testing.assert_close(model.scores_at(tokens, ends, positions, segments)[0], alone, atol=1e-5, rtol=1e-5)
    behind = torch.cat([torch.cat([text, torch.full((30 - len(text),), PAD)])[None] for text in texts()])
    torch.testing.assert_close(model.scores_at(behind, torch.tensor(LENGTHS) - 1), alone, atol=1e-5, rtol=1e-5)


def test_a_score_model_begins_from_a_language_model_with_a_head_of_its_own() -> None:
    language, model = Transformer(CONFIG), ScoreModel(CONFIG)
    filled(language)
    model.initialize_from(language.state_dict(), torch.Generator().manual_seed(0))
    assert torch.equal(model.hidden(texts()[0][None]), language.hidden(texts()[0][None]))
    assert model.score.weight.std().item() == pytest.approx((CONFIG.hidden_size + 1) ** -0.5, rel=0.3)
    assert model.score.bias.item() == 0
    model.initialize_from(language.state_dict(), head="zero")
    assert (model(texts()[0][None]) == 0).all()


@pytest.mark.parametrize("padding", [0, 7])
def test_continuations_that_share_their_beginning_score_and_learn_as_whole_texts(padding: int) -> None:
    beginning, *ends = texts()
    model, other = ScoreModel(CONFIG), ScoreModel(CONFIG)
    for one in (model, other):
        filled(one)
    alone = [model(torch.cat([beginning, end])[None])[0] for end in ends]
    sum(scores[-1] * weight for scores, weight in zip(alone, (1.0, -2.0), strict=True)).backward()

    tokens = torch.cat([torch.full((padding,), PAD), beginning, *ends])[None]
    numbers = [torch.full((padding,), -1), *(torch.full((n,), i) for i, n in enumerate(LENGTHS))]
    segments = torch.cat(numbers)[None]
    positions = positions_of(segments) + len(beginning) * (segments > 0)
    shared = torch.tensor([padding, padding + len(beginning)]) * (segments > 0)[..., None]
    together = other(tokens, positions, segments, shared)[0, padding:]
    torch.testing.assert_close(together[: LENGTHS[0]], alone[0][: LENGTHS[0]], atol=1e-5, rtol=1e-5)
    at = LENGTHS[0]
    for scores, length in zip(alone, LENGTHS[1:], strict=True):
        torch.testing.assert_close(together[at : at + length], scores[-length:], atol=1e-5, rtol=1e-5)
        at += length
    (together[LENGTHS[0] + LENGTHS[1] - 1] - 2.0 * together[-1]).backward()
    for (name, ours), theirs in zip(other.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(
            ours.grad, theirs.grad, atol=2e-5, rtol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
        )
