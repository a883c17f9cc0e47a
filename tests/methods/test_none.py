from aent import load_method


def test_none_fills_no_part():
    assert load_method("none").parts == ()
