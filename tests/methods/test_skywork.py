from aent import SignStep, load_method


def test_published_defaults():
    """arXiv 2505.22312, training scripts: H* 0.2, delta 1e-4, alpha_0 0, box [0, 0.005]."""
    expected = SignStep(level=0.0, target=0.2, delta=1e-4, coef_min=0.0, coef_max=0.005)
    assert load_method("skywork").controller == expected


def test_by_hand(check_classic_bonus):
    check_classic_bonus(load_method("skywork"))
