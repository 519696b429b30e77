"""Taking the look of each camera out of the features."""

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels import CameraNormalised, PseudoLabeller, PseudoLabels, SelfPacedKMeans


class Given(PseudoLabeller):
    """Keeps what it is given."""

    def label(self, feats, camids):
        self.feats, self.camids = np.array(feats), camids
        return PseudoLabels(np.zeros(len(feats), dtype=np.int64), np.ones(len(feats), dtype=bool))


def seen_by_cameras(rng, people=6, cameras=3, shots=5, channels=8):
    """Everybody in every camera, which moves and stretches every channel far more than people differ."""
    pids = np.repeat(np.arange(people), cameras * shots)
    camids = np.tile(np.repeat(np.arange(cameras), shots), people)
    clean = rng.normal(size=(people, channels))[pids] + .05 * rng.normal(size=(len(pids), channels))
    look = rng.uniform(.5, 3, size=(cameras, channels)), 10 * rng.normal(size=(cameras, channels))
    return (clean * look[0][camids] + look[1][camids]).astype(np.float32), pids, camids


@pytest.mark.parametrize('kind', [np.asarray, torch.from_numpy])
def test_channels_are_standardised_in_each_camera(kind):
    feats, _, camids = seen_by_cameras(np.random.default_rng(0))
    given = Given()
    CameraNormalised(given)(kind(feats), camids)
    expected = np.empty_like(feats, dtype=np.float64)
    for row, camera in enumerate(camids):
        same = feats[camids == camera].astype(np.float64)
        expected[row] = (feats[row] - same.mean(axis=0)) / same.std(axis=0)
    assert np.allclose(given.feats, expected, atol=1e-5) and given.feats.dtype == np.float32
    assert given.camids.tolist() == camids.tolist()


def test_people_are_found_behind_the_cameras():
    feats, pids, camids = seen_by_cameras(np.random.default_rng(1))
    settings = dict(type='SelfPacedKMeans', num_clusters=6, threshold=None)
    found = CameraNormalised(settings)(feats, camids).labels
    assert len(set(zip(found.tolist(), pids.tolist(), strict=True))) == 6  # one label for each person
    plain = SelfPacedKMeans(6, threshold=None)(feats, camids).labels
    assert len(set(zip(plain.tolist(), camids.tolist(), strict=True))) < 12  # clusters of cameras


def test_a_channel_without_variance_says_nothing():
    feats, _, camids = seen_by_cameras(np.random.default_rng(2))
    feats[camids == 1, 3] = 7.3
    given = Given()
    CameraNormalised(given)(feats, camids)
    assert (given.feats[camids == 1, 3] == 0).all() and (given.feats[camids == 0, 3] != 0).all()


def test_what_it_needs():
    feats, _, camids = seen_by_cameras(np.random.default_rng(3))
    with pytest.raises(ValueError, match='these images come without: use the labeller in it, Given'):
        CameraNormalised(Given())(feats)
    camids[0] = 9
    with pytest.raises(ValueError, match='camera 9 has a single image'):
        CameraNormalised(Given())(feats, camids)


def test_describes_both():
    labeller = CameraNormalised(dict(type='SelfPacedKMeans', num_clusters=5))
    assert labeller.describe().startswith('CameraNormalised(SelfPacedKMeans(5 clusters')
