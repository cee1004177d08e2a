import pytest

from danlu.common.errors import DanluError
from danlu.corpus.config import CorpusConfig


def test_the_default_is_the_toy_language() -> None:
    assert CorpusConfig().data == ("toy",)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"data": ()}, "no data"),
        ({"data": ("a.txt", "a.txt")}, "twice"),
        ({"heldout_share": 0.0}, "heldout_share"),
        ({"heldout_share": 1.0}, "heldout_share"),
        ({"heldout_megabytes": 0.0}, "heldout_megabytes"),
        ({"max_megabytes": -1.0}, "max_megabytes"),
        ({"piece_bytes": 3}, "piece_bytes"),
        ({"min_characters": 10, "max_characters": 5}, "min_characters"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, object], word: str) -> None:
    with pytest.raises(DanluError, match=word):
        CorpusConfig(**values)  # type: ignore[arg-type]
