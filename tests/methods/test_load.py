import pytest

from aent import (
    Band,
    Fixed,
    Fraction,
    Full,
    InputError,
    Method,
    SignStep,
    TopK,
    TopP,
    Track,
    load_method,
)


def test_every_named_method_loads_with_its_published_defaults():
    """Defaults of `aent`: arXiv 2509.03493, setting (a); of `entropy-bonus`: A3C's 0.01."""
    made = {name: load_method(name) for name in ("none", "entropy-bonus", "aent")}
    assert made["none"].controller is None
    assert made["entropy-bonus"].controller == Fixed(coef=0.01)
    assert made["entropy-bonus"].subset == Full()
    assert made["aent"].subset == Fraction(drop=0.33)
    assert made["aent"].controller == Band(
        coef=0.002, low=0.15, high=0.24, lr=0.002, coef_min=0.0006, coef_max=0.009, warmup=30
    )


def test_a_mapping_sets_arguments():
    method = load_method({"name": "aent", "drop": 0.25, "low": 0.2})
    assert method.subset == Fraction(drop=0.25)
    assert method.controller.band == (0.2, 0.24)


def test_a_dotted_path_works_where_a_name_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_methods.py").write_text(
        "from aent import Fixed, Method, TopK\n"
        "def strong(*, coef: float = 0.1):\n"
        "    return Method(name='strong', subset=TopK(k=20), controller=Fixed(coef=coef))\n"
        "value = strong(coef=0.5)\n"
        "number = lambda: 3\n"
    )
    assert load_method({"name": "my_methods.strong", "coef": 0.2}).controller == Fixed(coef=0.2)
    assert load_method("my_methods.value").controller == Fixed(coef=0.5)
    with pytest.raises(InputError, match="takes no \\['coef'\\]"):
        load_method({"name": "my_methods.value", "coef": 0.2})
    with pytest.raises(InputError, match="gave int, not an aent Method"):
        load_method("my_methods.number")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("aant", r"unknown method 'aant'. Did you mean 'aent'\? Known: .*aent, .*entropy-bonus, .*none"),
        ({"name": "aent", "hihg": 1}, "Did you mean 'high'"),
        ({"name": "aent", "low": "wide"}, "low='wide' is a str; it must be float"),
        ({"name": "aent", "low": 0.5}, "low=0.5 above high=0.24"),
        ({"name": "aent", "drop": 1.0}, "drop"),
        ({"low": 0.1}, "has no name"),
    ],
)
def test_bad_specs_say_what_is_allowed(spec, message):
    with pytest.raises(InputError, match=message):
        load_method(spec)


def test_a_method_is_returned_as_it_is():
    method = Method(name="mine")
    assert load_method(method) is method


def test_subsets_and_controllers_have_names_like_methods():
    method = load_method(
        {"name": "entropy-bonus", "subset": {"name": "top-p", "mass": 0.9}, "controller": "track"}
    )
    assert (method.subset, method.controller) == (TopP(mass=0.9), Track())


def test_the_class_names_of_earlier_versions_still_work():
    old = {"name": "TopK", "k": 3}, {"name": "SignStep", "level": 0.0, "target": 0.2, "delta": 0.1,
                                     "coef_min": 0.0, "coef_max": 1.0}  # fmt: skip
    method = load_method({"name": "entropy-bonus", "subset": old[0], "controller": old[1]})
    assert method.subset == TopK(k=3)
    assert isinstance(method.controller, SignStep)
    assert load_method({"name": "aent", "subset": "Full"}).subset == Full()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            {"subset": "top-q"},
            r"unknown subset 'top-q'\. Did you mean 'top-p'\? Known: fraction, full, top-k",
        ),
        ({"controller": {"name": "bend"}}, r"unknown controller 'bend'\. Did you mean 'band'"),
        ({"subset": {"name": ["top-k"]}}, r"subset \{'name': \['top-k'\]\} has no name"),
        ({"subset": "top-k"}, "subset 'top-k' needs k"),
    ],
)
def test_bad_parts_say_what_is_allowed(part, message):
    with pytest.raises(InputError, match=message):
        load_method({"name": "entropy-bonus", **part})
