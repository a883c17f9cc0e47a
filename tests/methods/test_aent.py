from aent import Band, Fraction, load_method


def test_published_defaults():
    """arXiv 2509.03493, setting (a), Qwen2.5-Math-1.5B on MATH: the author's script."""
    method = load_method("aent")
    assert method.subset == Fraction(drop=0.33)
    assert method.controller == Band(
        coef=0.002, low=0.15, high=0.24, lr=0.002, coef_min=0.0006, coef_max=0.009, warmup=30
    )
    assert method.parts == ("bonus", "controller")


def test_the_other_published_setting():
    """Setting (b), DeepSeek-R1-Distill-Qwen-1.5B on OpenR1-Math, as the docstring has it."""
    method = load_method(
        {
            "name": "aent", "drop": 0.25, "coef": 3e-4, "low": 0.35, "high": 0.62, "lr": 1e-4,
            "coef_min": 4e-5, "coef_max": 1e-3, "warmup": 156,
        }
    )  # fmt: skip
    assert method.subset == Fraction(drop=0.25)
    assert method.controller == Band(
        coef=3e-4, low=0.35, high=0.62, lr=1e-4, coef_min=4e-5, coef_max=1e-3, warmup=156
    )


def test_by_hand(check_classic_bonus):
    check_classic_bonus(load_method("aent"))
