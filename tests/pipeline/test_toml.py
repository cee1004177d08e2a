import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danlu.pipeline.toml import dump_toml

_text = st.text(st.characters(exclude_categories=("Cs",)))
_scalars = st.one_of(_text, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
_values = st.recursive(
    st.one_of(_scalars, st.lists(_scalars)), lambda inner: st.dictionaries(_text, inner), max_leaves=20
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(_text, _values))
def test_what_is_written_reads_back_the_same(tree: dict[str, object]) -> None:
    assert tomllib.loads(dump_toml(tree)) == tree


@settings(deadline=None)
@given(_text)
def test_a_header_of_any_one_line_is_a_comment(header: str) -> None:
    line = "".join(character for character in header if character.isprintable())
    assert tomllib.loads(dump_toml({"a": 1}, line)) == {"a": 1}


def test_none_is_left_out() -> None:
    assert tomllib.loads(dump_toml({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}


def test_tables_read_well() -> None:
    text = dump_toml({"budget": "1e14flops", "corpus": {"data": ["a", "b"], "toy": {"entropy": 0.5}}}, "A recipe.")
    assert text == (
        '# A recipe.\n\nbudget = "1e14flops"\n\n[corpus]\ndata = ["a", "b"]\n\n[corpus.toy]\nentropy = 0.5\n'
    )


def test_other_objects_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="set"):
        dump_toml({"a": {1}})
