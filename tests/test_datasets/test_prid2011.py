import pytest

from mmreid.datasets.prid2011 import PRID2011

from .named_trees import check_config, check_odd_places, check_wrong_roots, fill, pids


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Eight identities in both views; 9 to 12 in view a and 9 to 15 in view b are different people."""
    monkeypatch.setattr(PRID2011, 'NUM_SHARED', 8)
    root = tmp_path / 'data' / 'prid_2011'
    fill(root / 'single_shot' / 'cam_a', [f'person_{pid:04d}.png' for pid in range(1, 13)])
    fill(root / 'single_shot' / 'cam_b', [f'person_{pid:04d}.PNG' for pid in range(1, 16)])
    return root


@pytest.mark.parametrize('split_id', range(10))
def test_split(root, split_id):
    train = PRID2011(str(root), split_id=split_id, check_counts=False)
    test = PRID2011(str(root), split='test', split_id=split_id, check_counts=False)
    assert len(pids(train)) == 4 and pids(train) < set(range(1, 9)) and len(train) == 8
    assert pids(test, 'query') == set(range(1, 9)) - pids(train)
    assert pids(test, 'gallery') == set(range(1, 16)) - pids(train)
    cameras = set(zip(test.get_splits().tolist(), test.get_camids().tolist(), strict=True))
    assert cameras == {('query', 1), ('gallery', 2)}
    assert [tuple(count) for count in test.count().values()] == [(4, 4), (11, 11)]


def test_splits_differ(root):
    drawn = {frozenset(pids(PRID2011(str(root), split_id=split_id, check_counts=False))) for split_id in range(10)}
    assert len(drawn) > 5


def test_published_counts(root, logged):
    assert PRID2011.PUBLISHED_COUNTS == dict(train=(200, 100), query=(100, 100), gallery=(649, 649))
    PRID2011(str(root), split='test')
    assert 'gallery has 11 images (published: 649)' in str(logged)


def test_shared_identity_lacks_a_view(root):
    (root / 'single_shot' / 'cam_a' / 'person_0003.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'view 1 lacks 1 of the 8 identities .*\[3\]'):
        PRID2011(str(root), split='test')


def test_empty_folder(root):
    for path in (root / 'single_shot' / 'cam_a').iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match='no image was found in .*cam_a.*person_<identity>'):
        PRID2011(str(root))


def test_wrong_roots(root):
    check_wrong_roots(PRID2011, root, 'single_shot')


def test_odd_places(root):
    check_odd_places(PRID2011, root, split='test')


def test_config(root, monkeypatch):
    assert check_config('prid2011.py', root, monkeypatch).val_evaluator.protocols == ['prid2011']
