import dataclasses
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from danlu.common.errors import DanluError
from danlu.common.strict import to_mapping
from danlu.pipeline.recipe import Recipe, differences, read_recipe, resolve, write_recipe


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_resolved_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = resolve(Recipe(budget="2e12flops", seed=7), "mine")
    write_recipe(recipe, tmp_path / "recipe.toml")
    assert read_recipe(tmp_path / "recipe.toml") == recipe


def test_one_seed_sets_them_all() -> None:
    recipe = resolve(Recipe(seed=7), "mine")
    assert recipe.corpus.toy.seed == 7
    assert recipe.training.seed == 7
    assert recipe.seed is None


def test_unknown_key_names_file_key_and_nearest(tmp_path: Path) -> None:
    path = _write(tmp_path, "[corpus.toy]\nentropie = 0.3\n")
    with pytest.raises(DanluError) as caught:
        read_recipe(path)
    assert "mine.toml" in caught.value.cause
    assert "corpus.toy.entropie" in caught.value.cause
    assert "'entropy'" in caught.value.remedy


@pytest.mark.parametrize("text", ["budget = ", "budget = '3 apples'", "budget = '10steps'", "seed = 'x'"])
def test_bad_files_are_plain_errors(tmp_path: Path, text: str) -> None:
    with pytest.raises(DanluError):
        read_recipe(_write(tmp_path, text))


def test_missing_file_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match="there is no recipe"):
        read_recipe(tmp_path / "none.toml")


def _fields(cls: type, where: str = "") -> Iterator[tuple[str, Any, dataclasses.Field[Any]]]:
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        yield where + field.name, hint, field
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from _fields(hint, f"{where}{field.name}.")


def test_none_is_always_the_default_where_it_is_allowed() -> None:
    """TOML has no null: a key left out of the file must mean None wherever None is possible."""
    for name, hint, field in _fields(Recipe):
        if isinstance(hint, types.UnionType) and type(None) in get_args(hint):
            assert field.default is None, name


def test_every_default_survives_toml(tmp_path: Path) -> None:
    write_recipe(Recipe(), tmp_path / "recipe.toml")
    written = tomllib.loads((tmp_path / "recipe.toml").read_text(encoding="utf-8"))
    assert not differences(written, to_mapping(Recipe()))


def test_differences_name_dotted_keys() -> None:
    assert differences({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": 3, "c": [1]}, "d": 2, "e": 4}) == [
        ("a.b", 1, 3),
        ("e", None, 4),
    ]
    assert differences({"a": {"b": 1}}, {"a": {"b": 1}}) == []


_RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("path", sorted(_RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_we_ship_are_valid(path: Path) -> None:
    assert all(limit.value > 0 for limit in read_recipe(path).limits)


def test_the_quickstart_recipe_is_the_default() -> None:
    assert resolve(read_recipe(_RECIPES / "quickstart.toml"), "x") == resolve(Recipe(), "quickstart")
