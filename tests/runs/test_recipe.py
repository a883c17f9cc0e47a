import pytest

from aent import InputError
from aent.runs.recipe import Recipe, dump_recipe, load_recipe, recipe_names, whole_yaml


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


def recipe_of(text, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    return load_recipe(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("word", ["false", "no", "off", "none", "null", "~", "False", '"no"'])
def test_sections_that_can_be_switched_off_are_by_any_word_for_it(word, tmp_path):
    recipe = recipe_of(f"evaluation: {word}\npolicy: {word}\n", tmp_path)
    assert recipe.evaluation is None
    assert recipe.policy is None


def test_numbers_and_words_are_read_as_they_look(tmp_path):
    """YAML 1.1 reads 8, 90, False and the text 1e-1."""
    text = "trainer: {max_steps: 010, seed: 1:30, save_strategy: no}\nmethod: {name: aent, low: 1e-1}\n"
    recipe = recipe_of(text, tmp_path)
    assert recipe.trainer == {"max_steps": 10, "seed": "1:30", "save_strategy": "no"}
    assert recipe.method == {"name": "aent", "low": 0.1}
    assert recipe_of(dump_recipe(recipe), tmp_path) == recipe


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"trainer: {seed: 1, seed: 2}", "'seed' is given twice"),
        (b"algorithm: grpo\nalgorithm: rloo\n", "'algorithm' is given twice"),
        ("# für".encode("latin-1"), "mine.yaml' is not UTF-8 .*save it as UTF-8"),
    ],
    ids=["key in a section", "section", "latin-1"],
)
def test_what_cannot_be_meant_is_named(content, message, tmp_path):
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_recipe(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        dump_recipe(load_recipe("words")),
        whole_yaml("The method section of a recipe.", {"method": {"name": "aent", "low": 0.15}}),
    ],
    ids=["recipe", "section"],
)
def test_a_recipe_that_was_cut_short_is_noticed_at_every_length(tmp_path, text):
    """Most of its beginnings are valid YAML, and would be another recipe."""
    for length in range(len(text)):
        (tmp_path / "cut.yaml").write_text(text[:length])
        with pytest.raises(InputError):
            load_recipe(str(tmp_path / "cut.yaml"))


@pytest.mark.parametrize("section", ["method", "task"])
def test_a_section_that_names_nothing_is_refused(section):
    with pytest.raises(InputError, match=rf"section '{section}' is \{{'low': 0.2\}}; it needs a name"):
        Recipe(**{section: {"low": 0.2}})
