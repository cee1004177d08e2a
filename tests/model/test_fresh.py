"""Fresh weights: the circuit that copies is there before the first step, and says nothing yet."""

import torch
import torch.nn.functional as F

from danlu.model.config import ModelConfig
from danlu.model.family import shape
from danlu.model.fresh import has_room
from danlu.model.ops import split_heads
from danlu.model.transformer import Transformer

VOCABULARY, PERIOD = 400, 30


def make_model(config: ModelConfig, induction: bool = True) -> Transformer:
    model = Transformer(config)
    model.initialize(torch.Generator().manual_seed(3), induction=induction)
    return model


def repeated_tokens() -> torch.Tensor:
    """Random tokens, the same ones twice over (1, 2 * PERIOD)."""
    return torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(5))[:PERIOD].repeat(2)[None]


def attention(model: Transformer, layer: int, tokens: torch.Tensor) -> torch.Tensor:
    """Where each head of a layer looks (H, T, T)."""
    config, time = model.config, tokens.size(1)
    cosine, sine = model.rotary(time, tokens.device)
    x = F.embedding(tokens, model.model.embed_tokens.weight)
    for block in model.model.layers[:layer]:
        x = block(x, cosine, sine)
    block = model.model.layers[layer]
    read, heads = block.self_attn, (config.num_attention_heads, config.num_key_value_heads)
    joint = torch.cat([read.q_proj.weight, read.k_proj.weight, read.v_proj.weight])
    gains = None if read.q_norm is None else read.q_norm.weight, None if read.k_norm is None else read.k_norm.weight
    q, k, _ = split_heads(F.linear(block.input_layernorm(x), joint), *gains, cosine, sine, heads, read.eps)
    k = k.repeat_interleave(heads[0] // heads[1], dim=1)
    scores = q[0] @ k[0].transpose(-1, -2) / config.head_dim**0.5
    return scores.masked_fill(torch.ones(time, time).triu(1) > 0, -torch.inf).softmax(-1)


@torch.no_grad()
def test_the_first_layer_looks_here_and_one_place_back_whatever_stands_there() -> None:
    for width in (24, 64, 512):  # heads of 32 and of 64
        looks = attention(make_model(shape(width, VOCABULARY, 64)), 0, repeated_tokens())
        here, before = looks[0].diagonal(), looks[1].diagonal(-1)
        assert here[3:].min() > 0.9, width
        assert before[3:].min() > 0.9, width


@torch.no_grad()
def test_the_second_layer_looks_at_what_followed_this_token_before() -> None:
    for width in (40, 96, 512):
        looks = attention(make_model(shape(width, VOCABULARY, 64)), 1, repeated_tokens())[0]
        wanted = torch.arange(PERIOD, 2 * PERIOD)
        found = looks[wanted].argmax(-1)
        hits = (found == wanted - PERIOD + 1).float().mean()
        assert hits > 0.8, (width, hits)
        plain = attention(make_model(shape(width, VOCABULARY, 64), induction=False), 1, repeated_tokens())[0]
        assert (plain[wanted].argmax(-1) == wanted - PERIOD + 1).float().mean() < 0.3


@torch.no_grad()
def test_nothing_is_said_before_the_first_step() -> None:
    config, tokens = shape(64, VOCABULARY, 64), repeated_tokens()
    losses = make_model(config).token_losses(tokens[:, :-1], tokens[:, 1:])[0]
    assert (losses - torch.log(torch.tensor(float(VOCABULARY)))).abs().mean() < 0.3


def test_heads_that_share_keys_have_room_too() -> None:
    config = ModelConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=64,
    )  # fmt: skip
    with torch.no_grad():
        looks = attention(make_model(config), 0, repeated_tokens())
    assert looks[0].diagonal()[3:].min() > 0.9
    assert looks[2].diagonal(-1)[3:].min() > 0.9


def test_shapes_without_room_begin_as_usual() -> None:
    for change in ({"num_hidden_layers": 1}, {"num_key_value_heads": 1}, {"qk_norm": False}, {"head_dim": 2}):
        config = ModelConfig(**{**vars(shape(24, VOCABULARY, 64)), **change})  # type: ignore[arg-type]
        assert not has_room(config)
        weights, plain = make_model(config).state_dict(), make_model(config, induction=False).state_dict()
        assert all(torch.equal(weights[name], plain[name]) for name in weights)
        assert not weights["model.layers.0.self_attn.o_proj.weight"].any()


def test_fresh_weights_are_a_function_of_the_seed() -> None:
    config = shape(24, VOCABULARY, 64)
    one, two = make_model(config).state_dict(), make_model(config).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = Transformer(config)
    other.initialize(torch.Generator().manual_seed(4))
    assert not torch.equal(one["model.embed_tokens.weight"], other.state_dict()["model.embed_tokens.weight"])
