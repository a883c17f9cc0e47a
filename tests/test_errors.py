"""The messages of mistakes, and the exit codes that they end a program with."""

import pytest

from aent.errors import InputError, contradiction, exit_code, unknown


def raises(error):
    def program():
        raise error

    return program


def test_an_unknown_name_lists_the_known_ones_and_the_nearest():
    error = unknown("backend", "chunks", ["native", "chunked"], hint="See the docs.")
    assert isinstance(error, ValueError)
    assert str(error) == (
        "unknown backend 'chunks'. Did you mean 'chunked'? Known: chunked, native. See the docs."
    )
    assert str(unknown("backend", "x", ["native"])) == "unknown backend 'x'. Known: native."


def test_of_very_many_names_only_the_nearest_are_listed():
    message = str(unknown("flag", "--lerning_rate", ["--learning_rate", "--lr", "--seed"], nearest=2))
    assert "--learning_rate" in message
    assert "--seed" not in message


def test_a_contradiction_names_both_sides():
    assert str(contradiction("beta", 0.1, "the method 'kl-cov'", 0.0)) == (
        "beta=0.1 was given, but the method 'kl-cov' sets beta=0.0; leave one out"
    )


def test_a_program_that_ends_well_keeps_its_code(capsys):
    assert exit_code(lambda: 3) == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (InputError("coef=-1 must not be negative"), 1, "error: coef=-1 must not be negative\n"),
        (
            ModuleNotFoundError("No module named 'vllm'"),
            1,
            "error: No module named 'vllm'. The extras of aent",
        ),
        (OSError("No space left on device"), 1, "error: No space left on device. What was written before"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_a_mistake_is_one_message_without_a_stack_trace(error, code, printed, capsys):
    assert exit_code(raises(error)) == code
    assert capsys.readouterr().err.startswith(printed)


def test_our_own_mistakes_keep_their_stack_trace():
    with pytest.raises(AssertionError):
        exit_code(raises(AssertionError()))
