"""Images without labels: nothing that a dataset knows of identities is left, everything else is as it was."""

import pytest

from mmreid.datasets import ShuffleSampler, SyntheticReID, UnlabelledDataset
from mmreid.registry import DATASETS

from .test_merged import PIPELINE, Drawn

PAIRS = [(0, 0), (3, 4), (3, 0), (-1, 2)]
OTHER = [(1, 0), (2, 5)]


def drawn(pairs, name='a', **kwargs):
    return Drawn(pairs, name, serialize_data=False, **kwargs)


def unlabelled(*parts, **kwargs):
    return UnlabelledDataset(list(parts), serialize_data=False, **kwargs)


def test_nobody_is_known_and_the_rest_stays():
    dataset = unlabelled(drawn(PAIRS, domain_id=7), pipeline=PIPELINE)
    assert dataset.get_labels().tolist() == dataset.get_pids().tolist() == [-1] * 4
    assert dataset.get_camids().tolist() == [0, 4, 0, 2] and dataset.get_domains().tolist() == [7] * 4
    assert dataset.num_classes == 0 and dataset.metainfo['identities'] is None
    assert dataset.get_image(2)[0, 0].tolist() == [ord('a'), 2, 0]
    sample = dataset[1]['data_samples']
    assert (sample.label, sample.pid, sample.camid, sample.domain) == (-1, -1, 4, 7)


def test_poisoned_labels_change_nothing():
    """The same images with other identities, or with none: the same records and metadata."""
    poisoned = [(1000 - row, camid) for row, (_, camid) in enumerate(PAIRS)]
    unknown = [(-1, camid) for _, camid in PAIRS]
    datasets = [unlabelled(drawn(pairs)) for pairs in (PAIRS, poisoned, unknown)]
    first, *others = [[dataset.get_data_info(row) for row in range(4)] for dataset in datasets]
    assert others == [first, first]
    assert datasets[0].metainfo == datasets[1].metainfo == datasets[2].metainfo
    assert all(record['source_pid'] == -1 for record in first)


def test_labels_are_said_to_be_ignored(monkeypatch):
    said = []
    monkeypatch.setattr('mmreid.datasets.unlabelled.print_log', lambda text, **_: said.append(text))
    unlabelled(drawn(PAIRS))
    assert said == ['UnlabelledDataset of Drawn: 3 of 4 images have labels, which are not read']
    unlabelled(drawn([(-1, 1)]))
    assert len(said) == 1


def test_several_datasets_share_no_camera():
    dataset = unlabelled(drawn(PAIRS), drawn(OTHER, 'b'))
    assert dataset.get_domains().tolist() == [0] * 4 + [1] * 2
    assert dataset.get_camids().tolist() == [0, 4, 0, 2, 5, 10]
    assert set(dataset.get_labels()) == {-1}


def test_all_images_are_drawn():
    dataset = DATASETS.build(dict(
        type='mmreid.UnlabelledDataset',
        dataset=dict(type='SyntheticReID', num_train_pids=3, num_cams=2, num_images=2)))
    assert sorted(ShuffleSampler(dataset, seed=0)) == list(range(12))
    assert dataset.summary().startswith('UnlabelledDataset of SyntheticReID(a): train 12 images / 0 identities / 2 cam')


def test_bad_input():
    with pytest.raises(ValueError, match="split='test'"):
        unlabelled(SyntheticReID(split='test', num_test_pids=2, num_cams=2, num_images=2, cache=False))
    with pytest.raises(TypeError, match='part 0 must be a config or a ReIDDataset'):
        unlabelled('viper')
    with pytest.raises(ValueError, match='at least one config'):
        unlabelled()
    with pytest.raises(ValueError, match='num_pids=1 of 0 identities'):
        unlabelled(drawn(PAIRS), num_pids=1)
