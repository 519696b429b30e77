"""Codes in the place of features, in an evaluation."""

import numpy as np
import pytest
import torch

from mmreid.evaluation import DictionaryCodes, Features, KReciprocalReRanking, RetrievalData, evaluate_retrieval
from mmreid.pseudo_labels import GraphDictionary, codes_of, cross_camera_graph, fit_dictionary, save_dictionary
from mmreid.registry import TASK_UTILS


def images(rng, count, known=True):
    camids = torch.from_numpy(rng.integers(1, 4, count)) if known else None
    return Features(torch.from_numpy(rng.standard_normal((count, 6)).astype(np.float32)),
                    torch.from_numpy(rng.integers(0, 5, count)), camids, torch.arange(count))


@pytest.fixture
def made(tmp_path):
    rng = np.random.default_rng(0)
    fit = GraphDictionary(3, .5, neighbours=2, affinity='heat').fit(rng.standard_normal((50, 6)),
                                                                   rng.integers(0, 3, 50))
    path = tmp_path / 'dictionary.npz'
    save_dictionary(fit, path)
    return path, fit, RetrievalData(images(rng, 20), images(rng, 60), 'euclidean', images(rng, 10))


def test_codes_of_each_image_alone(made):
    path, fit, data = made
    step = TASK_UTILS.build(dict(type='DictionaryCodes', file=str(path)))
    found = step(data)
    for name, split in data.splits().items():
        system = fit.atoms @ fit.atoms.T + 2 * .5 * fit.settings['degree'] * np.eye(3)
        expected = np.linalg.solve(system, fit.atoms @ split.feats.double().numpy().T).T
        other = getattr(found, name)
        assert np.allclose(other.feats.numpy(), expected, atol=1e-5) and other.feats.dtype == torch.float32
        assert other.pids is split.pids and other.camids is split.camids
    assert step.describe() == f'DictionaryCodes(3 atoms, {path})' and found.metric == 'euclidean'
    less = RetrievalData(data.query.rows(torch.arange(3)), data.gallery.rows(torch.arange(7, 9)))
    assert torch.allclose(step(less).query.feats, found.query.feats[:3], atol=1e-6)


def test_with_a_graph_over_the_test_images(made):
    path, fit, data = made
    step = DictionaryCodes(str(path), graph=True)
    found = step(data)
    feats = np.concatenate([split.feats.numpy() for split in data.splits().values()])
    camids = np.concatenate([split.camids.numpy() for split in data.splits().values()])
    graph = cross_camera_graph(feats, camids, 2, 'heat')  # as in the training
    expected = np.split(codes_of(fit.atoms, feats, graph, .5), [20, 80])
    for (name, split), codes in zip(found.splits().items(), expected):
        assert np.allclose(split.feats.numpy(), codes, atol=1e-5), name
    assert 'graph over the test images' in step.describe()


def test_in_an_evaluation(made):
    path, fit, data = made
    plain = evaluate_retrieval(RetrievalData(*(split.with_feats(codes_of(
        torch.from_numpy(fit.atoms), split.feats, weight=.5, degree=fit.settings['degree']))
                                               for split in (data.query, data.gallery)), 'euclidean'), ['market1501'])
    data = RetrievalData(data.query, data.gallery, 'euclidean')
    found = evaluate_retrieval(data, ['market1501'], [DictionaryCodes(str(path))])
    assert found.metrics() == plain.metrics() and found.metrics() != evaluate_retrieval(data, ['market1501']).metrics()
    assert found.post_processing == [f'DictionaryCodes(3 atoms, {path})']


def test_wrong_input(made, tmp_path):
    path, _, data = made
    step = DictionaryCodes(str(path))
    with pytest.raises(ValueError, match='dictionary.npz is for features of 6 channels, and these have 5'):
        step(data.map_feats(lambda feats: feats[:, :5]))
    with pytest.raises(ValueError, match='list re-ranking last'):
        step(KReciprocalReRanking(k1=5, k2=2)(data))
    with pytest.raises(FileNotFoundError, match='there is no dictionary'):
        DictionaryCodes(str(tmp_path / 'none.npz'))(data)
    with pytest.raises(ValueError, match=r'must be a dictionary \*.npz'):
        DictionaryCodes('epoch_1.pth')
    unknown = RetrievalData(images(np.random.default_rng(1), 5, False), images(np.random.default_rng(1), 5, False))
    assert step(unknown).query.feats.shape == (5, 3)
    with pytest.raises(ValueError, match='set graph=False'):
        DictionaryCodes(str(path), graph=True)(unknown)


def test_a_dictionary_that_was_fitted_without_cameras_has_no_graph_to_link_by(made, tmp_path):
    _, _, data = made
    rng, path = np.random.default_rng(0), tmp_path / 'plain.npz'
    save_dictionary(fit_dictionary(rng.standard_normal((50, 6)), None, 3, 0.), path)
    assert DictionaryCodes(str(path))(data).gallery.feats.shape == (60, 3)
    with pytest.raises(ValueError, match=r'plain.npz does not say neighbours and affinity: .*set graph=False'):
        DictionaryCodes(str(path), graph=True)(data)
