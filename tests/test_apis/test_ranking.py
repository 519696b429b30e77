"""Ranked lists against a plain sort of all distances."""

import csv

import numpy as np
import pytest

from mmreid.apis import ImageFeatures, RankedLists, ReIDInferencer, nearest, nearest_images
from mmreid.apis.inferencer import _split
from mmreid.evaluation import FeatureFileError, RetrievalData, k_reciprocal_rerank, write_arrays


def features(rows, seed=0, channels=12):
    return np.random.default_rng(seed).standard_normal((rows, channels)).astype(np.float32)


def plain_distances(query, gallery, metric):
    """All distances in float64, one by one."""
    query, gallery = query.astype(np.float64), gallery.astype(np.float64)
    result = np.empty((len(query), len(gallery)))
    for i, x in enumerate(query):
        for j, y in enumerate(gallery):
            square = sum((x - y)**2)
            result[i, j] = {'sqeuclidean': square, 'euclidean': square**.5,
                            'cosine': 1 - x @ y / ((x @ x)**.5 * (y @ y)**.5)}[metric]
    return result


@pytest.mark.parametrize('metric', ['cosine', 'euclidean', 'sqeuclidean'])
@pytest.mark.parametrize('block_bytes', [1, 2**28])
def test_ranking_is_that_of_a_plain_sort(monkeypatch, inferencer, metric, block_bytes):
    monkeypatch.setattr(nearest, 'BLOCK_BYTES', block_bytes)
    query, gallery = features(7), features(60, seed=1)
    # Repeated rows at both ends and a query in the gallery: at equal distances the lower row comes first.
    gallery[[50, 3, 59]] = gallery[20]
    gallery[[40, 41]] = query[2]
    expected = plain_distances(query, gallery, metric)
    order = np.argsort(np.round(expected, 9), axis=1, kind='stable')
    for topk in (1, 4, 60):
        found = inferencer.rank(ImageFeatures(query), ImageFeatures(gallery), topk=topk, metric=metric)
        assert found.indices.dtype == np.int64 and (found.indices == order[:, :topk]).all()
        assert np.abs(found.distances - np.take_along_axis(expected, order[:, :topk], 1)).max() < 1e-7
        assert (np.diff(found.distances, axis=1) >= 0).all() and found.metric == metric
    assert found.indices[2, :2].tolist() == [40, 41] and (found.distances[2, :2] == 0).all()


@pytest.mark.parametrize('k', [1, 3, 5, 6])
def test_ties_at_the_end_of_a_list(inferencer, k):
    gallery = np.tile(features(1), (8, 1))
    found = inferencer.rank(ImageFeatures(features(2, seed=3)), ImageFeatures(gallery), topk=k)
    assert (found.indices == np.arange(k)).all()


def test_lists_are_no_longer_than_the_gallery(inferencer):
    found = inferencer.rank(ImageFeatures(features(2)), ImageFeatures(features(3, seed=1)), topk=10)
    assert found.indices.shape == found.distances.shape == (2, 3)
    with pytest.raises(ValueError, match='topk must be at least 1, got 0'):
        inferencer.rank(ImageFeatures(features(2)), ImageFeatures(features(3)), topk=0)
    with pytest.raises(ValueError, match='metric must be one of'):
        inferencer.rank(ImageFeatures(features(2)), ImageFeatures(features(3)), metric='manhattan')
    with pytest.raises(ValueError, match='same number of channels, got 12 and 4'):
        inferencer.rank(ImageFeatures(features(2)), ImageFeatures(features(3, channels=4)))


def test_images_are_ranked_as_their_features(toy, inferencer):
    query, gallery = toy.images / 'query', toy.images / 'bounding_box_test'
    found = inferencer.rank(query, gallery, topk=5)
    again = inferencer.rank(inferencer.extract(query), inferencer.extract(gallery), topk=5)
    assert (found.indices == again.indices).all() and (found.distances == again.distances).all()
    assert len(found) == 8 and found.query_paths == inferencer.extract(query).paths and found.metric == 'cosine'
    assert found.paths(3) == [found.gallery_paths[row] for row in found.indices[3]]


@pytest.mark.parametrize('evaluators, expected', [
    (dict(test_evaluator=dict(type='ReIDMetric', metric='euclidean')), 'euclidean'),
    (dict(test_evaluator=dict(type='ReIDMetric'), val_evaluator=dict(type='ReIDMetric', metric='euclidean')), 'cosine'),
    (dict(test_evaluator=[dict(type='Other'), dict(type='ReIDMetric', metric='sqeuclidean')]), 'sqeuclidean'),
    (dict(test_evaluator=None, val_evaluator=dict(type='ReIDMetric', metric='euclidean')), 'euclidean'),
    (dict(test_evaluator=None, val_evaluator=None), 'cosine'),
])
def test_the_metric_is_that_of_the_config(toy, evaluators, expected):
    found = ReIDInferencer(toy.config, toy.checkpoint, 'cpu', cfg_options=evaluators)
    assert found.metric == expected
    lists = found.rank(ImageFeatures(features(2)), ImageFeatures(features(3)))
    assert lists.metric == expected


def test_re_ranking_is_that_of_the_evaluation(inferencer):
    query, gallery = features(4), features(30, seed=1)
    step = dict(type='KReciprocalReRanking', k1=6, k2=3)
    found = inferencer.rank(ImageFeatures(query), ImageFeatures(gallery), 7, 'euclidean', [step])
    expected = np.asarray(k_reciprocal_rerank(query, gallery, k1=6, k2=3))
    order = np.argsort(expected, axis=1, kind='stable')[:, :7]
    assert (found.indices == order).all()
    assert np.abs(found.distances - np.take_along_axis(expected, order, 1)).max() < 1e-6


def test_rows_are_those_of_the_gallery_also_where_a_step_leaves_some_out():
    query, gallery = ImageFeatures(features(3)), ImageFeatures(features(9, seed=1))
    whole = RetrievalData(_split(query), _split(gallery))
    kept = [1, 4, 8]
    found, _ = nearest_images(RetrievalData(whole.query, whole.gallery.rows(np.array(kept))), 2)
    expected = plain_distances(query.feats, gallery.feats, 'cosine')[:, kept].argsort(axis=1)[:, :2]
    assert (found == np.array(kept)[expected]).all()


def test_features_of_other_precision_and_on_disk(tmp_path, inferencer):
    query, gallery = features(3), features(20, seed=1)
    expected = inferencer.rank(ImageFeatures(query), ImageFeatures(gallery), 5).indices
    np.save(tmp_path / 'gallery.npy', gallery)
    mapped = np.load(tmp_path / 'gallery.npy', mmap_mode='r')
    assert (inferencer.rank(ImageFeatures(query), ImageFeatures(mapped), 5).indices == expected).all()
    assert (inferencer.rank(ImageFeatures(query), ImageFeatures(gallery.astype(np.float16)), 1).indices ==
            expected[:, :1]).all()


def test_a_feature_of_zeros_is_like_nothing(inferencer):
    gallery = features(5, seed=1)
    gallery[2] = 0
    found = inferencer.rank(ImageFeatures(features(1)), ImageFeatures(gallery), topk=5, metric='cosine')
    assert found.distances[0, found.indices[0].tolist().index(2)] == 1
    with pytest.raises(ValueError, match='all 1 features of the query images are zero'):
        inferencer.rank(ImageFeatures(np.zeros((1, 12), np.float32)), ImageFeatures(gallery))


# ---- results ------------------------------------------------------------------------------------
def test_features_go_to_a_file_and_back(tmp_path):
    found = ImageFeatures(features(4), ['a.jpg', 'b c.jpg', 'ünlü.png', 'array:3'])
    found.save(tmp_path / 'new' / 'f.npz')
    for split in (None, 'gallery'):
        again = ImageFeatures.load(tmp_path / 'new' / 'f.npz', split)
        assert (again.feats == found.feats).all() and again.paths == found.paths
    with pytest.raises(FeatureFileError, match='has no query_feats; it has features of: gallery'):
        ImageFeatures.load(tmp_path / 'new' / 'f.npz', 'query')
    with pytest.raises(FileNotFoundError):
        ImageFeatures.load(tmp_path / 'nowhere.npz')


def test_files_without_paths_and_with_several_splits(tmp_path):
    write_arrays(tmp_path / 'old.npz', dict(query_feats=features(2), query_pids=np.arange(2), gallery_feats=features(3),
                                            gallery_pids=np.arange(3)))
    with pytest.raises(FeatureFileError, match='has features of query, gallery: name the split'):
        ImageFeatures.load(tmp_path / 'old.npz')
    assert ImageFeatures.load(tmp_path / 'old.npz', 'gallery').paths == ['row:0', 'row:1', 'row:2']


@pytest.mark.parametrize('arrays, message', [
    (dict(other=np.zeros(2)), 'has no features; needed: arrays <split>_feats'),
    (dict(query_feats=np.zeros(3)), r'must be real numbers of shape \(N, C\)'),
    (dict(query_feats=np.zeros((3, 2)), query_paths=np.array(['a'])), 'paths must be 3 texts, got <U1'),
    (dict(query_feats=np.zeros((1, 2)), query_paths=np.array([1])), 'paths must be 1 texts, got int'),
])
def test_files_that_do_not_fit(tmp_path, arrays, message):
    np.savez(tmp_path / 'f.npz', **arrays)
    with pytest.raises(FeatureFileError, match=message):
        ImageFeatures.load(tmp_path / 'f.npz')


def test_some_rows():
    found = ImageFeatures(features(4), list('abcd'))
    assert found[1:3].paths == ['b', 'c'] and (found[np.array([True, False, False, True])].feats ==
                                               found.feats[[0, 3]]).all()
    with pytest.raises(IndexError, match='features.feats'):
        found[1]
    with pytest.raises(ValueError, match='4 features need as many paths, got 1'):
        ImageFeatures(features(4), ['a'])
    with pytest.raises(ValueError, match=r'shape \(N, D\)'):
        ImageFeatures(features(4)[0])


def test_csv(tmp_path):
    lists = RankedLists(np.array([[1, 0], [2, 1]]), np.array([[.25, .5], [0, 1]]), ['q,1.jpg', 'q2.jpg'],
                        ['a.jpg', 'b.jpg', 'c.jpg'])
    lists.write_csv(tmp_path / 'r.csv')
    with open(tmp_path / 'r.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [tuple(row.values()) for row in rows] == [
        ('q,1.jpg', '1', 'b.jpg', '0.250000'), ('q,1.jpg', '2', 'a.jpg', '0.500000'),
        ('q2.jpg', '1', 'c.jpg', '0.000000'), ('q2.jpg', '2', 'b.jpg', '1.000000')]
