"""Eq. 6-8 against direct linear algebra and Monte Carlo."""

import math

import numpy as np
import pytest

from mmreid.engine.progressive import GaussianProcess
from mmreid.engine.progressive.searches import expected_improvement
from mmreid.engine.progressive.searches.gaussian_process import JITTER, sample_bandwidths

RNG = np.random.default_rng(0)
POINTS, VALUES, NEW = RNG.random((7, 4)), RNG.normal(size=7) * .2 + 3, RNG.random((9, 4))
WIDTHS = [.3, .5, .2, .9]


def posterior(points, values, new, widths, noise):
    """Eq. 6 as it stands, entry by entry, with an inverse."""
    inverse_b = np.diag(1 / np.square(widths))
    centre, variance = np.mean(values), np.var(values)

    def kernel(first, second):
        return np.array([[variance * math.exp(-.5 * (a - b) @ inverse_b @ (a - b)) for b in second] for a in first])

    inverse = np.linalg.inv(kernel(points, points) + noise * variance * np.eye(len(points)))
    cross = kernel(new, points)
    mean = centre + cross @ inverse @ (values - centre)
    covariance = kernel(new, new) - cross @ inverse @ cross.T
    return mean, np.sqrt(np.diag(covariance))


@pytest.mark.parametrize('noise', [0., 1e-3, .3])
def test_posterior_is_that_of_linear_algebra(noise):
    mean, std = GaussianProcess(POINTS, VALUES, WIDTHS, noise).predict(NEW)
    expected_mean, expected_std = posterior(POINTS, VALUES, NEW, WIDTHS, noise + JITTER)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-9)
    np.testing.assert_allclose(std, expected_std, rtol=1e-7)


def test_observations_are_met_and_far_away_is_the_prior():
    process = GaussianProcess(POINTS, VALUES, .05)
    mean, std = process.predict(POINTS)
    np.testing.assert_allclose(mean, VALUES, atol=1e-6)
    assert std.max() < 1e-4
    mean, std = process.predict(np.full((1, 4), 50.))
    assert mean[0] == pytest.approx(VALUES.mean()) and std[0] == pytest.approx(VALUES.std())


def test_noise_averages_what_contradicts():
    points = np.array([[.5], [.5], [.0]])
    mean, std = GaussianProcess(points, np.array([1., 3., 2.]), .01, noise=1e-6).predict(points[:1])
    assert mean[0] == pytest.approx(2., abs=1e-4) and std[0] < .01
    assert np.isfinite(GaussianProcess(points, np.array([1., 3., 2.]), .01).predict(points)).all()


def test_bandwidths_from_the_samples():
    points = np.array([[0., .2, .5], [1., .4, .5], [.5, .9, .5]])
    factor = 3 ** (-1 / 7)
    expected = [.5 * factor, math.sqrt(.13) * factor, factor / math.sqrt(12)]
    assert sample_bandwidths(points) == pytest.approx(expected)
    assert GaussianProcess(points, np.arange(3.)).bandwidths == pytest.approx(expected)
    assert sample_bandwidths(points[:1]) == pytest.approx([1 / math.sqrt(12)] * 3)  # one sample


def test_likelihood_finds_what_counts():
    """A value that depends on the first dimension only."""
    points = np.random.default_rng(3).random((30, 2))
    values = np.sin(6 * points[:, 0])
    process = GaussianProcess(points, values, 'likelihood', 1e-6)
    narrow, wide = process.bandwidths
    assert narrow < .6 and wide > 3 * narrow

    def log_likelihood(widths):
        covariance = np.exp(-.5 * np.square((points[:, None] - points) / widths).sum(-1)) + 1e-6 * np.eye(30)
        scaled = (values - values.mean()) / values.std()
        return -.5 * scaled @ np.linalg.solve(covariance, scaled) - .5 * np.linalg.slogdet(covariance)[1]

    for other in ((narrow * 1.3, wide), (narrow / 1.3, wide), (narrow, .5 * wide)):
        assert log_likelihood(process.bandwidths) >= log_likelihood(other) - 1e-6


@pytest.mark.parametrize('values', [[2.], [2., 2., 2.]])
def test_one_observation_or_equal_ones(values):
    points = RNG.random((len(values), 4))
    mean, std = GaussianProcess(points, np.array(values)).predict(np.concatenate([points[:1], NEW]))
    assert mean == pytest.approx(2.) and std[0] < 1e-4 and (std[1:] > .05).all() and (std <= 1).all()


@pytest.mark.parametrize('mean, std', [(1., .5), (.2, .5), (2., 1.), (-1., .3), (.9, 2.)])
def test_closed_form_is_the_expectation_of_eq_7(mean, std):
    draws = np.random.default_rng(1).normal(mean, std, 1_000_000)
    gains = np.maximum(.8 - draws, 0)
    error = gains.std() / 1000
    assert expected_improvement(mean, std, .8) == pytest.approx(gains.mean(), abs=5 * error)


def test_expected_improvement_by_hand():
    # Z = 0: sigma * phi(0). Z = 1: sigma (Phi(1) + phi(1)).
    assert expected_improvement(np.array([2.]), np.array([3.]), 2.)[0] == pytest.approx(3 / math.sqrt(2 * math.pi))
    assert expected_improvement(1., 2., 3.) == pytest.approx(2 * (.8413447461 + .2419707245))
    assert expected_improvement([1., 3.], [0., 0.], 2.).tolist() == [1., 0.]  # certain
    lower, higher = expected_improvement([.1, .9], [.2, .2], .5)
    assert lower > .4 > .1 > higher > 0  # minimisation: lower means are better
    assert expected_improvement([.9, .9], [.2, .4], .5)[1] > higher
    tail = expected_improvement(np.linspace(0, 100, 1001), np.ones(1001), 0.)
    assert (tail >= 0).all() and (np.diff(tail) <= 1e-16).all() and np.isfinite(tail).all()


@pytest.mark.parametrize('change, words', [
    (dict(points=POINTS[0]), r'shapes \(N, D\) and \(N,\)'), (dict(values=VALUES[:3]), r'shapes \(N, D\)'),
    (dict(values=np.full(7, np.nan)), 'finite'), (dict(bandwidth='scott'), "'samples', 'likelihood'"),
    (dict(bandwidth=[.1, .2]), 'one number or 4'), (dict(bandwidth=0.), 'positive'), (dict(noise=-1.), 'negative'),
    (dict(bandwidth=float('nan')), 'positive'), (dict(points=np.zeros((0, 4)), values=np.zeros(0)), 'shapes'),
])
def test_mistakes(change, words):
    with pytest.raises(ValueError, match=words):
        GaussianProcess(**{**dict(points=POINTS, values=VALUES), **change})
