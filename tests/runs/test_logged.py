from aent.runs.logged import step_summary


def test_the_hosts_entropy_is_shown_only_where_aent_has_none():
    """Rounded as a person reads them: 3 decimals, 4 digits of the coefficient, 1 decimal of a length."""
    row = {"loss": 1.0, "reward": 0.12345, "entropy": 0.7, "completions/mean_length": 7.26}
    assert step_summary(row) == "reward 0.123  entropy 0.700  length 7.3"
    ours = {**row, "aent/entropy": 0.6, "aent/full_entropy": 0.65, "aent/coef": 0.000123456}
    assert step_summary(ours) == (
        "reward 0.123  clamped entropy 0.600  full entropy 0.650  coef 0.0001235  length 7.3"
    )
    assert step_summary({"loss": 1.0, "reward": None}) == ""
