"""Nearest neighbours against sorting every row."""

import numpy as np
import pytest
import torch

from mmreid.utils import nearest
from mmreid.utils.nearest import nearest_neighbours, self_neighbours


def naive(query, gallery, k, own=False):
    """Sort all rows by exact distance, then by number; a row itself comes first."""
    distances = ((query[:, None].astype(np.float64) - gallery[None])**2).sum(-1)
    index = np.empty((len(query), k), int)
    for row, values in enumerate(distances):
        first = [not (own and column == row) for column in range(len(gallery))]
        index[row] = np.lexsort((np.arange(len(gallery)), values, first))[:k]
    return np.take_along_axis(distances, index, 1), index, distances.max(1)


def integers(rows, channels=3, high=4, seed=0):
    """Features with many equal distances, all exact in float32."""
    return np.random.default_rng(seed).integers(0, high, (rows, channels)).astype(np.float32)


@pytest.fixture(params=[(64, 4), (256, 16), (4096, 16)], ids=['small blocks', 'groups', 'one block'])
def blocks(request, monkeypatch):
    """Sizes of blocks and groups: many blocks without groups, several blocks with groups, one block."""
    rows, group = request.param
    monkeypatch.setattr(nearest, 'BLOCK_ROWS', {'cpu': rows})
    monkeypatch.setattr(nearest, 'GROUP_SIZE', group)


@pytest.mark.parametrize('k', [1, 3, 10])
@pytest.mark.parametrize('ties', [True, False])
def test_self_neighbours(blocks, k, ties):
    feats = integers(700) if ties else np.random.default_rng(1).standard_normal((700, 8)).astype(np.float32)
    distances, index, farthest = naive(feats, feats, k, own=True)
    found = self_neighbours(torch.from_numpy(feats), k)
    assert (found.index.numpy() == index).all()
    np.testing.assert_allclose(found.distances.numpy(), distances, atol=1e-5)
    np.testing.assert_allclose(found.farthest.numpy(), farthest, rtol=1e-6)


@pytest.mark.parametrize('k', [1, 5, 20])
@pytest.mark.parametrize('ties', [True, False])
def test_nearest_neighbours(blocks, k, ties):
    if ties:
        query, gallery = integers(90), integers(600, seed=1)
    else:
        query, gallery = (np.random.default_rng(2).standard_normal((n, 8)).astype(np.float32) for n in (90, 600))
    distances, index, _ = naive(query, gallery, k)
    found = nearest_neighbours(torch.from_numpy(query), torch.from_numpy(gallery), k, 'builtin')
    assert (found.index.numpy() == index).all()
    np.testing.assert_allclose(found.distances.numpy(), distances, atol=1e-5)
    assert found.farthest is None


@pytest.mark.parametrize('copies', [1, 4, 40])
def test_repeated_rows_share_their_neighbours(copies):
    # A product may give equal columns values that differ in the last bit; equal rows must be at distance 0 anyway.
    rng = np.random.default_rng(0)
    feats = rng.standard_normal((60, 32)).astype(np.float32)
    feats[rng.choice(60, copies, replace=False)] = feats[17]
    found = self_neighbours(torch.from_numpy(feats), 12)
    distances, index, _ = naive(feats, feats, 12, own=True)
    assert (found.index.numpy() == index).all()
    np.testing.assert_allclose(found.distances.numpy(), distances, atol=1e-4)
    same = (feats[found.index.numpy()] == feats[:, None]).all(-1)
    assert (found.distances.numpy()[same] == 0).all()


def test_blocks_are_handed_out(blocks):
    feats = torch.randn(150, 4, dtype=torch.float64)
    whole, seen = torch.zeros(150, 150, dtype=torch.float64), []

    def keep(rows, columns, block):
        assert rows.start <= columns.start
        whole[rows, columns] = block
        seen.append((rows.start, columns.start))

    self_neighbours(feats, 3, each_block=keep)
    expected = torch.cdist(feats, feats)**2
    upper = torch.triu(torch.ones(150, 150, dtype=torch.bool), 1)
    torch.testing.assert_close(whole[upper], expected[upper])
    assert len(set(seen)) == len(seen) == sum(range(1, 1 + -(-150 // nearest.BLOCK_ROWS['cpu'])))


def test_faiss_agrees_with_the_built_in_search(backend='faiss'):
    pytest.importorskip('faiss')
    feats = torch.randn(500, 16)
    expected, found = self_neighbours(feats, 8), self_neighbours(feats, 8, backend)
    assert (found.index == expected.index).float().mean() > 0.999
    torch.testing.assert_close(found.distances, expected.distances, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(found.farthest, expected.farthest)
    expected, found = (nearest_neighbours(feats[:50], feats[50:], 8, name) for name in ('builtin', backend))
    assert (found.index == expected.index).float().mean() > 0.999
    torch.testing.assert_close(found.distances, expected.distances, atol=1e-4, rtol=1e-5)


def test_faiss_is_used_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(nearest, 'find_spec', lambda name: object())
    monkeypatch.setattr(nearest, '_faiss_search', lambda query, gallery, k: 'searched')
    feats = torch.randn(5, 2)
    assert nearest_neighbours(feats, feats, 2) == 'searched'
    assert nearest_neighbours(feats.double(), feats.double(), 2) != 'searched'  # FAISS has float32 only
    assert nearest_neighbours(feats, feats, 2, 'builtin') != 'searched'
    monkeypatch.setattr(nearest, 'find_spec', lambda name: None)
    assert nearest_neighbours(feats, feats, 2) != 'searched'
    with pytest.raises(ImportError, match='pip install faiss-cpu'):
        nearest_neighbours(feats, feats, 2, 'faiss')


def test_errors():
    feats = torch.randn(5, 2)
    for k in (0, 6):
        with pytest.raises(ValueError, match=f'between 1 and the 5 rows there are, got {k}'):
            self_neighbours(feats, k)
        with pytest.raises(ValueError, match=f'between 1 and the 5 rows there are, got {k}'):
            nearest_neighbours(feats, feats, k)
    with pytest.raises(ValueError, match="backend must be one of auto, builtin, faiss, got 'annoy'"):
        nearest_neighbours(feats, feats, 2, 'annoy')
    feats[3, 1] = torch.nan
    with pytest.raises(ValueError, match='NaN.* in 1 rows: 3'):
        self_neighbours(feats, 2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_cuda_agrees_with_cpu():
    feats = torch.from_numpy(integers(900))
    expected, found = self_neighbours(feats, 20), self_neighbours(feats.cuda(), 20)
    assert (found.index.cpu() == expected.index).all()
    torch.testing.assert_close(found.distances.cpu(), expected.distances)
    torch.testing.assert_close(found.farthest.cpu(), expected.farthest)
