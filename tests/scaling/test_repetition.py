import numpy as np
import pytest

from danlu.scaling.repetition import effective_params, effective_tokens


def test_tokens_seen_once_are_worth_themselves_and_no_repetition_is_worth_more_than_sixteen():
    assert effective_tokens(5e5, 1e6) == 5e5
    assert effective_tokens(4e6, 1e6) == pytest.approx(1e6 * (1 + 15.39 * (1 - np.exp(-3 / 15.39))))
    assert effective_tokens(1e12, 1e6) == pytest.approx(16.39e6)


def test_few_parameters_count_whole_and_of_many_what_the_text_feeds():
    assert effective_params(1e4, 1e6) == pytest.approx(1e4, rel=1e-6)
    assert effective_params(1.5e5, 1e6) == pytest.approx(1.5e5, rel=0.006)
    assert effective_params(1e9, 1e6) == pytest.approx(4e5)
    assert effective_params(4e5, 1e6) == pytest.approx(4e5 / 2**0.25)


def test_more_parameters_never_count_less():
    params = np.geomspace(1e3, 1e9, 200)
    used = effective_params(params, np.full(200, 1e6))
    assert (np.diff(used) >= 0).all()
    assert (used <= params).all()
    assert used[3] == effective_params(float(params[3]), 1e6)
