"""What a labelling must be, and a labeller of one's own as the documentation shows it."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mmreid.pseudo_labels import PseudoLabeller, PseudoLabels, base, contiguous_labels
from mmreid.registry import TASK_UTILS

GUIDE = Path(__file__).parents[2] / 'docs' / 'en' / 'user_guides' / 'unsupervised_adaptation.md'


class Constant(PseudoLabeller):
    """Returns what it was given, and remembers what it was asked."""

    def __init__(self, result):
        self.result = result

    def label(self, feats, camids):
        self.asked = feats, camids
        return self.result


# ---- a labelling --------------------------------------------------------------------------------
def test_what_is_filled_in():
    found = PseudoLabels([1, -1, 0, 1, 1], [True, False, True, False, True],
                         dict(rate=np.float32(.5), rows=np.arange(2), num_images=9))
    assert found.labels.dtype == np.int64 and found.mask.dtype == np.bool_ and found.exemplars.tolist() == [-1, -1]
    assert (found.num_clusters, found.fraction) == (2, .6)
    assert found.info == dict(
        num_images=5, num_selected=3, fraction=.6, num_clusters=2, num_unlabelled=1, warnings=[],
        cluster_sizes=[1, 3], selected_sizes=[1, 2], cluster_size=dict(min=1, median=2., mean=2., max=3),
        selected_size=dict(min=1, median=1.5, mean=1.5, max=2), rate=.5, rows=[0, 1])


def test_nothing_selected():
    found = PseudoLabels(np.full(3, -1), np.zeros(3, bool))
    assert found.info['reason'] == 'no image is selected' and found.fraction == 0 and found.num_clusters == 0
    assert PseudoLabels([-1], [False], dict(reason='too dark')).info['reason'] == 'too dark'


def test_copies_and_tensors():
    labels, mask = torch.tensor([0, 1], dtype=torch.int32), np.array([True, True])
    found = PseudoLabels(labels, mask, exemplars=torch.tensor([1, 0]))
    mask[:] = False
    assert found.mask.all() and found.exemplars.tolist() == [1, 0]


@pytest.mark.parametrize('changes, error, message', [
    (dict(labels=[0., 1., 2.]), TypeError, 'labels must be integers'),
    (dict(mask=[1, 1, 1]), TypeError, 'mask must be bool'),
    (dict(labels=[[0, 1, 2]]), ValueError, r'\(N,\), got \(1, 3\)'), (dict(labels=[0, 1]), ValueError, 'one entry'),
    (dict(labels=[0, 1, -2]), ValueError, 'got -2'), (dict(labels=[0, 1, -1]), ValueError, '1 rows: 2'),
    (dict(labels=[0, 1, 3]), ValueError, '3 different ones up to 3'), (dict(labels=[1, 1, 2]), ValueError, 'from 0'),
    (dict(mask=[True, True, False]), ValueError, r'in classes \[2\]'),
    (dict(mask=[False] * 3), ValueError, 'needs a selected image'),
    (dict(exemplars=[0, 1]), ValueError, 'one row a class, 3, got 2'),
    (dict(exemplars=[0, 1, 3]), ValueError, '0 to 3'),
    (dict(exemplars=[0, -2, 1]), ValueError, '-2'), (dict(info=[1]), TypeError, 'dict'),
    (dict(info=dict(a=object())), TypeError, "info\\['a'\\].*object")])
def test_wrong_labelling(changes, error, message):
    with pytest.raises(error, match=message):
        PseudoLabels(**(dict(labels=[0, 1, 2], mask=[True] * 3) | changes))


@pytest.mark.parametrize('labels, mask, expected, numbers', [
    ([4, 2, -1, 4, 9], None, [1, 0, -1, 1, 2], [2, 4, 9]),
    ([4, 2, 2, 9], [True, False, True, False], [1, 0, 0, -1], [2, 4]),
    ([-1, -1], None, [-1, -1], []), ([-1, 5, 7], [True, False, True], [-1, -1, 0], [7]), ([], None, [], [])])
def test_contiguous_labels(labels, mask, expected, numbers):
    found, old = contiguous_labels(np.array(labels, dtype=np.int64), mask if mask is None else np.array(mask))
    assert found.tolist() == expected and found.dtype == np.int64 and old.tolist() == numbers


# ---- a labeller ---------------------------------------------------------------------------------
def test_labeller_gets_checked_arrays():
    labeller = Constant(PseudoLabels([0, 1], [True, True]))
    labeller(torch.tensor([[1, 2], [3, 4]], dtype=torch.float16), torch.tensor([5, 6], dtype=torch.int32))
    feats, camids = labeller.asked
    assert isinstance(feats, np.ndarray) and feats.dtype == np.float32 and feats.tolist() == [[1, 2], [3, 4]]
    assert camids.dtype == np.int64 and camids.tolist() == [5, 6]
    labeller([[1., 2.], [3., 4.]])
    assert labeller.asked[1] is None and labeller.describe() == 'Constant'


@pytest.mark.parametrize('feats, camids, error, message', [
    (np.zeros((3, 2)), None, ValueError, 'Constant must label each of the 3 images, got 2'),
    (np.zeros(2), None, ValueError, 'rows, channels'), (np.full((2, 2), np.inf), None, ValueError, 'feats has NaN'),
    (np.zeros((2, 2)), [1], ValueError, 'camids.*2 images, got 1'), (np.zeros((2, 2)), [.5, 1], TypeError, 'camids')])
def test_labeller_errors(feats, camids, error, message):
    with pytest.raises(error, match=message):
        Constant(PseudoLabels([0, 1], [True, True]))(feats, camids)


def test_labeller_must_return_a_labelling():
    with pytest.raises(TypeError, match='must return PseudoLabels, got tuple'):
        Constant((np.zeros(2), np.ones(2)))(np.zeros((2, 2)))


# ---- the example --------------------------------------------------------------------------------
@pytest.fixture
def registry():
    """Forgets what is registered meanwhile."""
    before = dict(TASK_UTILS.module_dict)
    yield
    for name in set(TASK_UTILS.module_dict) - set(before):
        del TASK_UTILS.module_dict[name]


def test_example_of_the_docstring(registry):
    test, = doctest.DocTestFinder(recurse=False).find(PseudoLabeller, 'PseudoLabeller', globs={})
    results = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF).run(test)
    assert results.attempted > 5 and not results.failed and base.__name__ == PseudoLabeller.__module__


@pytest.mark.skipif(not GUIDE.exists(), reason='the guide is not there')
def test_example_of_the_guide(registry):
    """The Python block of the guide that defines a labeller runs as it stands, and its labeller finds pairs."""
    blocks = re.findall(r'```python\n(.*?)```', GUIDE.read_text(encoding='utf-8'), flags=re.S)
    example, = [block for block in blocks if '(PseudoLabeller)' in block]
    exec(compile(example, str(GUIDE), 'exec'), dict(__name__='guide'))
    labeller = TASK_UTILS.build(dict(type='MutualNeighbours'))
    # Three people in two cameras, one more in camera 1 only.
    feats = np.array([[0., 0.], [9., 0.], [0., 9.], [20., 20.], [0., 1.], [9., 1.], [1., 9.]])
    found = labeller(feats, np.array([1, 1, 1, 1, 2, 2, 2]))
    assert found.labels.tolist() == [0, 1, 2, -1, 0, 1, 2] and found.mask.tolist() == [True] * 3 + [False] + [True] * 3
