"""The graph against loops over all pairs of images."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mmreid.pseudo_labels.dictionary.graph import check_graph, cross_camera_graph, laplacian_of

from .data import seen


def in_loops(feats, camids, k, heat):
    """W by sorting all distances."""
    count = len(feats)
    square = ((feats[:, None] - feats[None])**2).sum(2)
    found = []
    for i in range(count):
        for camera in set(camids.tolist()) - {int(camids[i])}:
            others = np.flatnonzero(camids == camera)
            found += [(i, j) for j in others[np.argsort(square[i, others], kind='stable')][:k]]
    width = np.mean([square[pair] for pair in found])
    weights = np.zeros((count, count))
    for i, j in found:
        weights[i, j] = weights[j, i] = np.exp(-square[i, j] / width) if heat else 1.
    return weights


@pytest.mark.parametrize('affinity', ['binary', 'heat'])
@pytest.mark.parametrize('cameras, k', [(2, 1), (3, 1), (4, 3)])
def test_nearest_of_every_other_camera(affinity, cameras, k):
    feats, camids = seen(cameras, cameras=cameras)
    expected = in_loops(feats, camids, k, affinity == 'heat')
    for given in (feats, torch.from_numpy(feats)):
        graph = cross_camera_graph(given, camids, k, affinity)
        assert np.allclose(graph.toarray(), expected, atol=1e-12)
    dense = graph.toarray()
    assert (dense == dense.T).all() and (dense[camids[:, None] == camids] == 0).all()
    assert ((dense > 0).sum(1) >= k * (cameras - 1)).all()


def test_heat_does_not_know_the_scale():
    feats, camids = seen(1)
    graphs = [cross_camera_graph(feats * factor, camids, 2, 'heat').toarray() for factor in (1, 1e-3, 1e4)]
    assert np.allclose(graphs[0], graphs[1]) and np.allclose(graphs[0], graphs[2])
    assert 0 < graphs[0][graphs[0] > 0].min() < graphs[0].max() <= 1


def test_equal_images_have_full_weight():
    feats = np.array([[1., 2], [1, 2], [1, 2], [5, 2]])
    graph = cross_camera_graph(feats, [1, 1, 2, 2], affinity='heat').toarray()
    assert graph[0, 2] == graph[1, 2] == graph[2, 0] == 1 and 0 < graph[3, 0] < 1


def test_laplacian_counts_ordered_pairs():
    feats, camids = seen(3)
    graph = cross_camera_graph(feats, camids, 2, 'heat')
    codes, dense = np.random.default_rng(0).standard_normal((len(feats), 5)), graph.toarray()
    pairs = sum(dense[i, j] * ((codes[i] - codes[j])**2).sum() for i in range(40) for j in range(40))
    assert 2 * np.trace(codes.T @ laplacian_of(graph).toarray() @ codes) == pytest.approx(pairs)


def test_wrong_input():
    feats, camids = seen(0)
    with pytest.raises(ValueError, match='affinity must be one of binary, heat'):
        cross_camera_graph(feats, camids, affinity='cosine')
    with pytest.raises(ValueError, match='at least two cameras'):
        cross_camera_graph(feats, np.ones_like(camids))
    with pytest.raises(ValueError, match='at least 1'):
        cross_camera_graph(feats, camids, 0)
    for graph, message in ((np.ones((3, 3)), 'row for each of the 4 images'), (np.triu(np.ones((4, 4))), 'symmetric'),
                           (-np.ones((4, 4)), 'not negative'), (np.full((4, 4), np.nan), 'finite')):
        with pytest.raises(ValueError, match=message):
            check_graph(csr_matrix(graph), 4)
