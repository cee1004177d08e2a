"""FLOPs under each convention, beside figures that others print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.planner.flops import attention_flops, conventions, hardware_flops, model_flops, printed_flops
from danlu.planner.layout import Layout
from danlu.planner.models import model_shape


def by_name(model: str, seq_len: int, layout: Layout | None = None) -> dict[str, float]:
    """FLOPs a token by convention."""
    return {each.convention: each.per_token for each in conventions(model_shape(model), seq_len, layout)}


def test_llama3_8b_at_8192_tokens() -> None:
    found = by_name("llama3-8b", 8192)
    # 6 x 8,030,261,248; NVIDIA's table inverted; 6N with attention over the whole sequence.
    assert found["6N"] == pytest.approx(48.2e9, rel=1e-3)
    assert found["6(N - input table) + causal attention"] == pytest.approx(51.5e9, rel=1e-3)
    assert found["6N + full attention"] == pytest.approx(61.1e9, rel=1e-3)


def test_gpt3_trains_with_3_14e23() -> None:
    assert by_name("gpt3", 2048)["6N"] * 300e9 == pytest.approx(3.14e23, rel=2e-3)  # Brown et al. 2020, table D.1


def test_megatrons_formula() -> None:
    # Narayanan et al. 2021, equation 3: 96 B s l h^2 (1 + s/6h + V/16lh), for h = 12288, l = 96, V = 51200.
    layers, hidden, vocab, seq_len = 96, 12288, 51200, 2048
    shape = model_shape("gpt3")
    per_token = 96 * layers * hidden**2 * (1 + seq_len / (6 * hidden) + vocab / (16 * layers * hidden))
    from dataclasses import replace

    found = conventions(replace(shape, vocab=vocab), seq_len)
    assert next(f for f in found if f.convention == "Megatron 2021").per_token == pytest.approx(per_token, rel=1e-3)


def test_conventions_have_their_order() -> None:
    found = by_name("llama2-70b", 4096, Layout(recompute="full"))
    assert found["6N without tables"] < found["6N"] < found["6N + causal attention"] < found["6N + full attention"]
    assert found["hardware"] > found["matmul+causal"]


def test_active_experts_count_alone() -> None:
    shape = model_shape("mixtral-8x7b")
    assert by_name("mixtral-8x7b", 4096)["6N"] == 6 * shape.params("active") < 6 * shape.params()


def test_a_window_bounds_attention() -> None:
    shape = model_shape("gpt-oss-20b")
    assert shape.window
    assert attention_flops(shape, 65536, causal=True) < 0.6 * attention_flops(
        model_shape("gpt-oss-20b").__class__(**{**shape.__dict__, "window": 0, "window_layers": 0}), 65536, causal=True
    )


@given(
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2, 8]),
    st.sampled_from([0, 1, 3]),
    st.sampled_from([1, 4]),
)
def test_a_layout_conserves_flops(tp: int, pp: int, dp: int, sharding: int, micro: int) -> None:
    shape = model_shape("llama3-8b")
    layout = Layout(tp=tp, pp=pp, dp=dp, sharding=sharding, micro_batch=micro)  # type: ignore[arg-type]
    assert hardware_flops(shape, 4096, layout).per_token == model_flops(shape, 4096).per_token


def test_full_recomputation_is_one_more_forward_pass() -> None:
    shape = model_shape("llama3-8b")
    plain = model_flops(shape, 4096).per_token
    head = 6 * shape.vocab * shape.hidden
    full = hardware_flops(shape, 4096, Layout(recompute="full")).per_token
    assert full == pytest.approx(plain + (plain - head) / 3)
    half = hardware_flops(shape, 4096, Layout(recompute="full", recompute_share=0.5)).per_token
    assert half == pytest.approx((plain + full) / 2)


@pytest.mark.parametrize(
    ("words", "convention"),
    [
        ("hardware incl. recompute (96BsLh^2 formula)", "Megatron 2021"),
        ("model (full attention counted)", "6N + full attention"),
        ("model", "6(N - input table) + causal attention"),
        ("", "matmul+causal"),
    ],
)
def test_words_of_a_table_name_a_convention(words: str, convention: str) -> None:
    assert printed_flops(model_shape("gpt3"), 2048, words, Layout(recompute="full")).convention == convention
