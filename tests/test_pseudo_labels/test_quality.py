"""Quality of labels against counted pairs, and against scikit-learn."""

import math

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels import label_quality

from . import oracles


def random_case(seed, rows=80, classes=7, people=9):
    """Labels that know something of the identities; some images without label, some of junk, some not selected."""
    rng = np.random.default_rng(seed)
    pids = rng.integers(-1, people, rows) * 5
    pids[pids < 0] = -1
    labels = np.where(rng.random(rows) < .6, np.maximum(pids, 0) // 5 % classes, rng.integers(-1, classes, rows))
    return labels, (rng.random(rows) < .7) & (labels >= 0), pids


@pytest.mark.parametrize('seed', range(6))
def test_counted_pairs(seed):
    case = random_case(seed)
    expected = oracles.quality(*(values.tolist() for values in case))
    assert label_quality(*case) == pytest.approx(expected, abs=1e-12)
    assert label_quality(*(torch.from_numpy(values) for values in case)) == pytest.approx(expected, abs=1e-12)
    labels, _, pids = case
    assert label_quality(labels, None, pids) == label_quality(labels, labels >= 0, pids)


@pytest.mark.parametrize('seed', range(4))
def test_scikit_learn(seed):
    metrics = pytest.importorskip('sklearn.metrics')
    labels, mask, pids = random_case(seed, 3000, 40, 50)
    judged = mask & (pids >= 0)
    found = label_quality(labels, mask, pids)
    assert found['nmi'] == pytest.approx(metrics.normalized_mutual_info_score(pids[judged], labels[judged]), abs=1e-10)
    (_, wrong), (missed, right) = metrics.cluster.pair_confusion_matrix(pids[judged], labels[judged])
    assert found['pair_precision'] == pytest.approx(right / (right + wrong))
    assert found['pair_recall'] == pytest.approx(right / (right + missed))
    table = metrics.cluster.contingency_matrix(pids[judged], labels[judged])
    assert found['purity'] == pytest.approx(table.max(axis=0).sum() / table.sum())


def test_by_eye():
    # Class 0: a a b. Class 1: b. One junk image, one of c that is not selected.
    found = label_quality([0, 0, 0, 1, 1, -1], [True] * 5 + [False], [4, 4, 5, 5, -1, 6])
    assert found['purity'] == 3 / 4 and found['pair_precision'] == 1 / 3 and found['pair_recall'] == 1 / 2
    assert found['pair_f'] == pytest.approx(2 / 5) and found['pid_coverage'] == 2 / 3
    assert (found['num_judged'], found['num_junk'], found['num_pids'], found['num_clusters']) == (4, 1, 2, 2)


def test_perfect_and_useless():
    pids = np.repeat(np.arange(5), 4)
    perfect = label_quality(4 - pids, None, pids)
    assert [perfect[key] for key in ('purity', 'nmi', 'pair_precision', 'pair_recall', 'pair_f', 'pid_coverage')] == \
        pytest.approx([1] * 6)
    useless = label_quality(np.tile(np.arange(4), 5), None, pids)
    assert useless['nmi'] == pytest.approx(0, abs=1e-12) and useless['pair_f'] == 0 and useless['purity'] == 1 / 5


def test_nothing_to_divide_by():
    nothing = label_quality([-1, -1], None, [1, 2])
    assert math.isnan(nothing['purity']) and math.isnan(nothing['nmi']) and math.isnan(nothing['pair_f'])
    assert nothing['pid_coverage'] == 0 and nothing['num_judged'] == 0
    single = label_quality([0, 1], None, [3, 3])  # no pair with one label
    assert math.isnan(single['pair_precision']) and single['pair_recall'] == 0 and math.isnan(single['pair_f'])
    assert single['nmi'] == 0 and label_quality([0, 0], None, [3, 3])['nmi'] == 1
    junk = label_quality([0, 0], None, [-1, -1])
    assert junk['num_junk'] == 2 and math.isnan(junk['pid_coverage'])


def test_many_images_take_little_memory():
    # A table of images x images would take 40 GB, and one of classes x identities 20 GB.
    labels, pids = np.arange(200_000) // 4, np.arange(200_000) // 4
    assert label_quality(labels, None, pids)['pair_f'] == 1


@pytest.mark.parametrize('case, error, message', [
    (([0, 1], [True], [1, 2]), ValueError, '2, 1 and 2'), (([0, -1], [True, True], [1, 2]), ValueError, 'no label'),
    (([0., 1.], None, [1, 2]), TypeError, 'labels must be integers'), (([0], [1], [1]), TypeError, 'mask must be bool'),
    (([[0]], None, [1]), ValueError, 'labels must have shape')])
def test_errors(case, error, message):
    with pytest.raises(error, match=message):
        label_quality(*(None if values is None else np.array(values) for values in case))
