"""Lines with intervals."""

import numpy as np
import pytest

from aent.diagnosis.fits import fit_line


def test_least_squares_by_hand():
    # x = 0 1 2, y = 0 1 5: slope = ((-1)(-2) + 0 + (1)(3)) / 2 = 2.5, intercept = 2 - 2.5 = -0.5;
    # residuals 0.5 -1 0.5, so r2 = 1 - 1.5 / 14
    line = fit_line(np.array([0.0, 1, 2]), np.array([0.0, 1, 5]))
    assert (line.slope, line.intercept) == (pytest.approx(2.5), pytest.approx(-0.5))
    assert line.r2 == pytest.approx(1 - 1.5 / 14)


def test_a_line_without_noise_has_no_interval():
    line = fit_line(np.arange(20.0), 3 - 2 * np.arange(20.0))
    assert line.slope_estimate == pytest.approx((-2, -2, -2))
    assert line.at(10) == pytest.approx((-17, -17, -17))


def test_the_interval_holds_under_noise_that_remembers():
    """Of 200 logs with AR(1) noise of 0.5, nine in ten intervals hold the true slope."""
    rng, x, held = np.random.default_rng(1), np.arange(60.0), 0
    for seed in range(200):
        noise = np.zeros(60)
        for t in range(1, 60):
            noise[t] = 0.5 * noise[t - 1] + rng.normal()
        _, low, high = fit_line(x, 0.1 * x + noise, seed=seed).slope_estimate
        held += low <= 0.1 <= high
    assert held >= 170, held


def test_a_long_log_is_averaged_before_it_is_fitted():
    x = np.arange(5_000.0)
    line = fit_line(x, 2 * x)
    assert (line.points, line.slope) == (500, pytest.approx(2))


def test_a_constant_has_no_slope():
    line = fit_line(np.arange(1.0, 21), np.full(20, np.log(0.7)))  # once 1e-18, with an interval beside it
    assert line.slope_estimate == (0, 0, 0)
    assert line.at(10) == pytest.approx((np.log(0.7),) * 3)
