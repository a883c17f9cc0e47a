import signal
import threading
import time

import pytest

from aent.tasks.math.grading import is_readable, is_right, voted_answer


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        (r"\boxed{72}", "72"),
        (r"\boxed{72.00}", "72"),
        (r"\boxed{\$1,250}", "1250"),
        (r"\boxed{72 \text{ apples}}", "72"),
        (r"\boxed{\frac{1}{2}}", "0.5"),
        (r"\boxed{0.5}", r"\frac{1}{2}"),
        (r"\boxed{x^2+2x+1}", "(x+1)^2"),
        (r"\boxed{\frac{\sqrt{4}}{4}}", r"\frac12"),
        ("He has 70 and gets 2 more, so the answer is 72.", "72"),
        ("#### 72", "72"),
        (r"\boxed{np.arcsin(10/13)}", "np.arcsin(10/13)"),  # unreadable, but the same letters
        (r"\boxed{1.6 \times 10^{-19}}", "1.6e-19"),
        (r"\boxed{1.6 \times 10^{-19} \text{ C per thing}}", "1.6e-19"),
        (r"so \boxed{\frac{12}{10^7}}", "1.2e-6"),
        (r"It is $1.6 \times 10^{-19}$.", "1.6e-19"),
        (r"\boxed{\dfrac{d\,x}{dt} = k\,x - a}", r"\frac{d x}{d t}=k x-a"),
        (r"\boxed{\frac{t}{m}}", r"\frac{1}{m} t"),
        (r"\boxed{-\frac{1}{3}}", "-1./3"),
        (r"\boxed{E_2, E_1}", "E_{1},E_{2}"),
        (r"\boxed{10\,000 x}", "10000x"),
        (r"\boxed{[1, 2)}", "[1,2)"),
        (r"\boxed{(-\infty, 3] \cup [4, 5)}", r"(-\infty,3]\cup[4,5)"),
        (r"\boxed{3, 2}", "2,3"),
    ],
)
def test_right(text, gold):
    assert is_right(text, gold)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        (r"\boxed{73}", "72"),
        (r"\boxed{72.0001}", "72"),
        (r"\boxed{-72}", "72"),
        (r"\boxed{72,73,74}", "72"),
        (r"\boxed{72} no, \boxed{71}", "72"),
        (r"\boxed{}", "72"),
        ("", "72"),
        ("no idea", "72"),
        ("72 it is. " + "But then I talked on and on, about other things. " * 6, "72"),
        (r"\boxed{__import__('os')}", "72"),
        (r"\boxed{" * 500, "72"),
        (r"\boxed{2.6e-19}", "1.6e-19"),
        (r"\boxed{2.6 \times 10^{-19} \text{ C per thing}}", "1.6e-19"),  # equal in six decimals
        (r"\boxed{\frac{13}{10^7}}", "1.2e-6"),
        (r"It is $2.6 \times 10^{-19}$.", "1.6e-19"),
        (r"\boxed{\frac{dx}{dt} = a - kx}", r"\frac{d x}{d t}=k x-a"),
        (r"\boxed{\frac{1}{m}}", r"\frac{1}{m} t"),  # t and m are no units here
        (r"\boxed{\frac{37}{4}}", r"\frac{37}{4} m"),
        (r"\boxed{E_1, E_3}", "E_{1},E_{2}"),
        (r"\boxed{(1, 2]}", "[1,2)"),
        (r"\boxed{(2, 1)}", "(1,2)"),
        (r"\boxed{2}", "2,3"),
        (r"\boxed{2, 3, 4}", "2,3"),
    ],
)
def test_wrong(text, gold):
    assert not is_right(text, gold)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("1.6", True),  # the question names the unit
        (r"1.6 \text{ cm}", True),
        (r"1.6\,\mathrm{cm}", True),
        ("1.6 cm", True),
        (r"16 \text{ mm}", True),  # converted
        (r"0.016 \text{ m}", True),
        (r"\frac{8}{5} \text{ cm}", True),
        (r"\frac{2}{125} \text{ m}", True),
        (r"1.6 \text{ of them}", True),  # no unit that is known
        (r"1.6 \text{ m}", False),
        (r"1.6 \text{ mm}", False),
        ("1.6 s", False),
        (r"\frac{8}{5} \text{ m}", False),
        (r"1.7 \text{ cm}", False),
        (r"17 \text{ mm}", False),
    ],
)
def test_units(answer, right):
    assert is_right(rf"\boxed{{{answer}}}", r"1.6 \text{ cm}") is right


HUGE = [
    r"\boxed{9^{9^{9}}}",
    r"\boxed{9^{(9)^9}}",
    "9**9**9",
    "9**(9)**9",
    r"\boxed{9^{((9999)*(9999))}}",
    r"\boxed{99999999!}",
    r"\boxed{(99!)!}",
    r"\boxed{2^{9!}}",
    r"\boxed{(10^{9999})^{99999}}",
    r"\boxed{10^{99999999999}}",
    r"\boxed{" + "9" * 100_000 + "}",
]


@pytest.mark.parametrize("text", HUGE, ids=range(len(HUGE)))
def test_huge_numbers_are_not_worked_out(text, monkeypatch):
    read = []
    monkeypatch.setattr("math_verify.parse", lambda text, *_, **__: read.append(text) or [])
    assert not is_right(text, "71")
    assert read in ([], [r"\boxed{71}"])


def test_ordinary_powers_are_not_huge():
    assert is_right(r"\boxed{2^{10}}", "1024")
    assert is_right(r"\boxed{(x^2)^3}", "x^6")
    assert is_right(r"\boxed{x^{10}y^{12}z^{14}}", "z^{14}x^{10}y^{12}")
    assert is_right(r"\boxed{e^{x^2}}", "e^{xx}")
    assert is_right(r"\boxed{x^9+x^8+x^7+x^6+x^5+x^4}", "x^4+x^5+x^6+x^7+x^8+x^9")


class Slow:
    """Works for a minute, and drops what is raised the first time, as a destructor would."""

    def __init__(self, result):
        self.result, self.drops = result, 1

    def __call__(self, *_, **__):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                while time.monotonic() < end:
                    pass
            except BaseException:
                self.drops -= 1
                if self.drops < 0:
                    raise
        return self.result


@pytest.mark.parametrize(("step", "result"), [("verify", True), ("parse", ["72"])])
def test_a_slow_step_is_given_up(step, result, monkeypatch):
    monkeypatch.setattr(f"math_verify.{step}", Slow(result))
    monkeypatch.setattr("aent.tasks.limits._SECONDS", 0.05)
    before = signal.getsignal(signal.SIGALRM)
    assert not is_right(rf"\boxed{{x + {step}}}", f"{step} + x")
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_other_threads_compare_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(is_right(r"\boxed{\frac{7}{2}}", "3.5")))
    thread.start()
    thread.join()
    assert found == [True]


@pytest.mark.parametrize(
    ("text", "vote"),
    [
        (r"\boxed{1,250.50}", "2501/2"),
        ("#### 72", "72"),
        (r"\boxed{\frac{1}{2}}", "1/2"),
        (r"\boxed{0.5}", "1/2"),  # the same vote
        ("so we get 7 apples", "7"),
        (r"\boxed{1.6 \times 10^{3} \text{ J}}", "1600"),
        (r"\boxed{\frac{1}{m} t}", "1*t/m"),
        (r"\boxed{9^{9^9}}", "9^{9^9}"),
        (r"\boxed{}", None),
        ("hm", None),
    ],
)
def test_vote(text, vote):
    assert voted_answer(text) == vote


@pytest.mark.parametrize(
    ("gold", "readable"),
    [
        ("72", True),
        (r"\frac{1}{2}", True),
        (r"\text{east}", True),
        ("???", False),
        ("-1./3", True),
        ("E_{1},E_{2}", True),
        (r"M_{\odot}^{6}", True),
        (r"1.85e5 \text{ cm^-3 }", True),
    ],
)
def test_readable(gold, readable):
    assert is_readable(gold) is readable
