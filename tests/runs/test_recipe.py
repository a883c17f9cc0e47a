import pytest

from aent import InputError
from aent.runs.recipe import dump_recipe, load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_load_and_round_trip(name, tmp_path):
    recipe = load_recipe(name)
    (tmp_path / "copy.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(str(tmp_path / "copy.yaml")) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metod: aent", "unknown section in recipe .*'metod'. Did you mean 'method'"),
        ("[1, 2]", "must be a mapping of sections"),
        ("a: [", "not valid YAML"),
        ("algorithm: gppo", "unknown algorithm 'gppo'. Did you mean"),
        ("trainer: 3", "recipe section 'trainer' is 3"),
    ],
)
def test_bad_recipes_are_named(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_recipe(str(path))


def test_unknown_recipes_list_the_known():
    with pytest.raises(InputError, match=r"unknown recipe 'countdwn'. Did you mean 'countdown'"):
        load_recipe("countdwn")
    with pytest.raises(InputError, match="does not exist"):
        load_recipe("nowhere.yaml")
