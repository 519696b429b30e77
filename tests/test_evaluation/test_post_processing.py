"""Each post-processor against a loop or a library that does the same."""

import numpy as np
import pytest
import torch

from mmreid.evaluation import (
    Features,
    RetrievalData,
    evaluate_distances,
    evaluate_retrieval,
    get_protocol,
    k_reciprocal_rerank,
    pool_multi_query,
    write_features,
)
from mmreid.registry import TASK_UTILS


def make_features(rows, channels=12, seed=0, pids=8, camids=3):
    rng = np.random.default_rng(seed)
    ids = [torch.from_numpy(rng.integers(0, high, rows)) for high in (pids, camids)]
    return Features(torch.from_numpy(rng.standard_normal((rows, channels)).astype(np.float32)), *ids,
                    torch.arange(rows))


@pytest.fixture
def data():
    return RetrievalData(make_features(20), make_features(90, seed=1), 'euclidean', make_features(70, seed=2))


def build(name, **settings):
    return TASK_UTILS.build(dict(type=name, **settings))


# ---- features -----------------------------------------------------------------------------------
def test_l2_normalize(data):
    data.query.feats[3] = 0
    out = build('L2Normalize')(data)
    for name, split in out.splits().items():
        before = data.splits()[name].feats
        for row, old in zip(split.feats, before):
            norm = old.norm()
            torch.testing.assert_close(row, old / norm if norm else old)
    assert set(out.splits()) == {'query', 'gallery', 'multi_query'}


@pytest.mark.parametrize('whiten', [False, True])
def test_pca_equals_singular_value_decomposition(data, whiten):
    mixing = torch.randn(12, 12, generator=torch.Generator().manual_seed(0))
    data = data.map_feats(lambda feats: feats @ mixing + 5)
    step = build('PCA', num_components=4, whiten=whiten)
    out = step(data)
    gallery = data.gallery.feats.double().numpy()
    mean = gallery.mean(0)
    _, singular, axes = np.linalg.svd(gallery - mean, full_matrices=False)
    for name, split in out.splits().items():
        expected = (data.splits()[name].feats.double().numpy() - mean) @ axes[:4].T
        if whiten:
            expected /= singular[:4] / np.sqrt(len(gallery) - 1)
        # The sign of a component is free.
        expected *= np.sign((expected * split.feats.numpy()).sum(0))
        np.testing.assert_allclose(split.feats.numpy(), expected, atol=1e-4)
    kept = 100 * (singular[:4]**2).sum() / (singular**2).sum()
    assert f'{kept:.1f} % of the variance' in step.describe() and ('whitened' in step.describe()) == whiten
    if whiten:
        torch.testing.assert_close(torch.cov(out.gallery.feats.T), torch.eye(4), atol=1e-4, rtol=1e-4)


def test_all_components_keep_distances_and_signs_are_fixed(data):
    out = build('PCA', num_components=12)(data)
    torch.testing.assert_close(torch.cdist(out.query.feats, out.gallery.feats),
                               torch.cdist(data.query.feats, data.gallery.feats), atol=1e-4, rtol=1e-4)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(1))
    shuffled = RetrievalData(data.query, data.gallery.rows(order))
    torch.testing.assert_close(build('PCA', num_components=12)(shuffled).query.feats, out.query.feats, atol=1e-4,
                               rtol=1e-3)


def test_pca_fitted_on_a_file(data, tmp_path):
    training = make_features(40, seed=5)
    write_features(tmp_path / 'train.npz', {'train': training})
    out = build('PCA', num_components=3, fit_on=str(tmp_path / 'train.npz'))(data)
    expected = build('PCA', num_components=3)(RetrievalData(data.query, training))
    torch.testing.assert_close(out.query.feats, expected.query.feats)
    write_features(tmp_path / 'other.npz', {'train': make_features(40, channels=5)})
    with pytest.raises(ValueError, match='other.npz has features of 5 channels, the test set of 12'):
        build('PCA', num_components=3, fit_on=str(tmp_path / 'other.npz'))(data)


def test_wrong_pca(data):
    with pytest.raises(ValueError, match='at least as many channels and images, got 12 channels and 90 images'):
        build('PCA', num_components=13)(data)
    with pytest.raises(ValueError, match='needs features that differ, but all 90 of gallery are equal'):
        build('PCA', num_components=2)(data.map_feats(lambda feats: feats * 0 + 1))
    with pytest.raises(ValueError, match='num_components must be at least 1, got 0'):
        build('PCA', num_components=0)
    with pytest.raises(ValueError, match="fit_on must be 'gallery' or a file"):
        build('PCA', num_components=2, fit_on='train')


# ---- queries ------------------------------------------------------------------------------------
@pytest.mark.parametrize('pool', ['mean', 'max'])
def test_multi_query_equals_a_loop(pool):
    query, more = make_features(20), make_features(300, seed=2)
    pooled = pool_multi_query(query, more, pool)
    for row in range(20):
        mine = more.feats[(more.pids == query.pids[row]) & (more.camids == query.camids[row])]
        torch.testing.assert_close(pooled[row], mine.mean(0) if pool == 'mean' else mine.amax(0))
    data = RetrievalData(query, make_features(30, seed=3), 'cosine', more)
    step = build('MultiQuery', pool=pool)
    out = step(data)
    assert (out.query.feats == pooled).all() and out.multi_query is None and (out.query.pids == query.pids).all()
    assert step.describe() == f'MultiQuery({pool})'


def test_multi_query_errors(data):
    with pytest.raises(ValueError, match=r'1 of 20 queries have no multi-query image .*identity 99 of camera'):
        pids = data.query.pids.clone()
        pids[4] = 99
        more = make_features(500, seed=2)
        pool_multi_query(Features(data.query.feats, pids, data.query.camids, data.query.sample_idx), more)
    with pytest.raises(ValueError, match='for Market-1501 set test_dataloader.dataset.multi_query=True'):
        build('MultiQuery')(RetrievalData(data.query, data.gallery))
    with pytest.raises(ValueError, match="pool must be 'mean' or 'max', got 'sum'"):
        build('MultiQuery', pool='sum')
    with pytest.raises(ValueError, match='the cameras are missing'):
        pool_multi_query(Features(data.query.feats, data.query.pids, None, data.query.sample_idx), data.multi_query)


@pytest.mark.parametrize('alpha', [0., 3.])
def test_query_expansion_equals_a_loop(data, alpha):
    step = build('QueryExpansion', k=4, alpha=alpha)
    out = step(data)
    unit = [torch.nn.functional.normalize(split.feats.double(), dim=1) for split in (data.query, data.gallery)]
    for row, query in enumerate(unit[0]):
        cosines = unit[1] @ query
        expanded = query.clone()
        for column in cosines.argsort(descending=True)[:4]:
            expanded += max(0, cosines[column])**alpha * unit[1][column]
        torch.testing.assert_close(out.query.feats[row].double(), expanded / expanded.norm(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.gallery.feats.double(), unit[1], atol=1e-6, rtol=1e-5)
    assert step.describe() == f'QueryExpansion(k=4, alpha={alpha:g})'
    with pytest.raises(ValueError, match='k=91 images needs as many in the gallery, got 90'):
        build('QueryExpansion', k=91)(data)
    with pytest.raises(ValueError, match='k must be at least 1'):
        build('QueryExpansion', k=0)


def test_query_expansion_leaves_features_of_zeros_alone(data):
    data.query.feats[2], data.gallery.feats[5] = 0, 0
    out = build('QueryExpansion', k=3, alpha=0)(data)
    assert (out.query.feats[2] == 0).all()
    without = build('QueryExpansion', k=3, alpha=0)(RetrievalData(
        data.query, data.gallery.rows(torch.arange(90) != 5)))
    torch.testing.assert_close(out.query.feats, without.query.feats)


def test_query_expansion_with_opposed_neighbours():
    # The only gallery image points the other way: its weight is 0, not the power of a negative number.
    query, gallery = make_features(1, channels=2), make_features(1, channels=2)
    query.feats[:], gallery.feats[:] = torch.tensor([1., 0.]), torch.tensor([-1., .5])
    out = build('QueryExpansion', k=1, alpha=2)(RetrievalData(query, gallery))
    assert out.query.feats.tolist() == [[1, 0]]


def test_drop_junk(data):
    pids = data.gallery.pids.clone()
    pids[::3] = -1
    gallery = Features(data.gallery.feats, pids, data.gallery.camids, data.gallery.sample_idx)
    out = build('DropJunk')(RetrievalData(data.query, gallery))
    assert len(out.gallery) == 60 and not (out.gallery.pids == -1).any()
    assert (out.gallery.feats == gallery.feats[pids != -1]).all()
    assert len(build('DropJunk', pids=(-1, 0))(RetrievalData(data.query, gallery)).gallery) == \
        int(((pids != -1) & (pids != 0)).sum())
    with pytest.raises(ValueError, match='would leave no gallery image'):
        build('DropJunk', pids=tuple(range(-1, 8)))(RetrievalData(data.query, gallery))


# ---- re-ranking ---------------------------------------------------------------------------------
@pytest.mark.parametrize('metric', ['euclidean', 'cosine'])
def test_re_ranking_as_a_step(data, metric):
    data = RetrievalData(data.query, data.gallery, metric)
    step = build('KReciprocalReRanking', k1=8, k2=3, lambda_value=0.2)
    report = evaluate_retrieval(data, [get_protocol('market1501'), get_protocol('nd')], [step])
    distances = k_reciprocal_rerank(data.query.feats, data.gallery.feats, 8, 3, 0.2, metric=metric)
    for name, result in report.results.items():
        expected = evaluate_distances(distances, data.query.pids, data.gallery.pids, data.query.camids,
                                      data.gallery.camids, protocol=name)
        assert result.to_dict() == pytest.approx(expected)
    assert 'KReciprocalReRanking(k1=8, k2=3, lambda=0.2)' in report.text()


def test_nothing_follows_re_ranking(data):
    ranked = build('KReciprocalReRanking', k1=8, k2=3)(data)
    for step in (build('L2Normalize'), build('PCA', num_components=2), build('QueryExpansion'), build('DropJunk'),
                 build('MultiQuery'), build('KReciprocalReRanking', k1=5)):
        with pytest.raises(ValueError, match=f'{type(step).__name__} changes features.*list re-ranking last'):
            step(ranked)


def test_wrong_re_ranking(data):
    with pytest.raises(ValueError, match='k1 must be smaller than the 110 images'):
        build('KReciprocalReRanking', k1=110)(data)
    with pytest.raises(ValueError, match='k2 must be an integer of at least 1, got 0'):
        build('KReciprocalReRanking', k2=0)
    with pytest.raises(ValueError, match='lambda_value must lie between 0 and 1, got 1.5'):
        build('KReciprocalReRanking', lambda_value=1.5)
    with pytest.raises(ValueError, match="variant must be one of original, squared-twice, got 'fast'"):
        build('KReciprocalReRanking', variant='fast')
