import numpy as np
import pytest

from mmreid.datasets import DomainBalancedSampler, MergedReIDDataset, SourceTargetDataset, SyntheticReID
from mmreid.datasets.base import ReIDDataset
from mmreid.registry import DATASETS

from .test_merged import PIPELINE, Drawn, Nobodies

SOURCE = [(7, 1), (7, 2), (3, 2), (-1, 1)]
TARGET = [(0, 0), (3, 1), (3, 0)]
OTHER = [(1, 0), (2, 5)]


def drawn(pairs, name='a', kind=Drawn, **kwargs):
    return kind(pairs, name, serialize_data=False, **kwargs)  # which is slow, and tested elsewhere


def joined(*targets, source=None, **kwargs):
    kwargs.setdefault('serialize_data', False)
    return SourceTargetDataset(drawn(SOURCE) if source is None else source, list(targets), **kwargs)


def test_only_the_source_has_labels():
    dataset = joined(drawn(TARGET, 'b'))
    assert dataset.get_labels().tolist() == [1, 1, 0, -1, -1, -1, -1]
    assert dataset.get_pids().tolist() == [7, 7, 3, -1, -1, -1, -1]
    assert dataset.get_domains().tolist() == [0] * 4 + [1] * 3
    assert dataset.num_classes == 2 and set(dataset.get_splits()) == {'train'}
    assert not set(dataset.get_camids()[:4]) & set(dataset.get_camids()[4:]), 'cameras are never shared'
    assert dataset.get_data_info(5)['source_pid'] == -1


def test_nothing_of_a_record_depends_on_the_labels_of_the_target():
    """The same images with other identities, or with none: the same records."""
    poisoned = [(1000 - row, camid) for row, (_, camid) in enumerate(TARGET)]
    unknown = [(-1, camid) for _, camid in TARGET]
    records = [[dataset.get_data_info(row) for row in range(7)]
               for dataset in (joined(drawn(pairs, 'b')) for pairs in (TARGET, poisoned, unknown))]
    assert records[0] == records[1] == records[2]
    meta = [joined(drawn(pairs, 'b')).metainfo for pairs in (TARGET, poisoned, unknown)]
    assert meta[0] == meta[1] == meta[2]


def test_labels_of_the_target_are_said_to_be_ignored(monkeypatch):
    said = []
    monkeypatch.setattr('mmreid.datasets.source_target.print_log', lambda text, **_: said.append(text))
    joined(drawn(TARGET, 'b'), drawn([(0, 5), (9, 5)], 'c', Nobodies))
    assert said == ['SourceTargetDataset: 4 images of the targets have labels, which are not read']
    joined(drawn([(-1, 1)], 'b'))
    assert len(said) == 1


def test_several_targets_and_a_source_of_several_datasets():
    """The source is one domain; classes are those it has by itself."""
    source = MergedReIDDataset([drawn(SOURCE), drawn(TARGET, 'b')], serialize_data=False)
    dataset = joined(drawn(OTHER, 'c'), drawn(OTHER, 'd'), source=source)
    assert dataset.get_domains().tolist() == [0] * 7 + [1] * 2 + [2] * 2
    assert dataset.get_labels().tolist() == source.get_labels().tolist() + [-1] * 4
    assert sorted(dataset.domain_names) == [0, 1, 2] and dataset.domain_names[1] == 'Drawn'
    assert joined(drawn(OTHER, 'c', domain_id=0), source=drawn(SOURCE, domain_id=5)).get_domains().tolist() == [
        0] * 4 + [1] * 2


def test_classes_are_known_to_be_those_of_the_source():
    """So that a checkpoint of the source keeps its classifier; not if the whole is cut."""
    source = drawn(SOURCE)
    assert joined(drawn(TARGET, 'b')).metainfo['identities'] == source.metainfo['identities']
    cut = joined(drawn(TARGET, 'b'), num_pids=1)
    assert cut.num_classes == 1 and cut.metainfo['identities'] != source.metainfo['identities']
    assert (cut.get_domains() == 1).sum() == 3, 'images of the target stay'


def test_pixels_come_from_the_parts():
    dataset = joined(drawn(TARGET, 'b'), pipeline=PIPELINE)
    assert dataset.get_image(5)[0, 0].tolist() == [ord('b'), 1, 0]
    sample = dataset[5]['data_samples']
    assert sample.label == -1 and sample.domain == 1 and sample.pid == -1


def test_batches_are_half_source_half_target():
    dataset = SourceTargetDataset(
        dict(type='SyntheticReID', num_train_pids=6, num_cams=2, num_images=2, cache=False),
        dict(type='SyntheticReID', domain='b', num_train_pids=20, num_cams=2, num_images=2, cache=False))
    order = DomainBalancedSampler(dataset, seed=0).epoch_indices()
    shares = dataset.get_domains()[order[:len(order) // 8 * 8]].reshape(-1, 8).mean(1)
    assert set(shares.tolist()) == {0.5}


def test_from_a_config_and_in_words():
    dataset = DATASETS.build(dict(
        type='mmreid.SourceTargetDataset', source=dict(type='SyntheticReID', num_train_pids=2, num_cams=2,
                                                        num_images=1),
        target=dict(type='SyntheticReID', domain='b', num_train_pids=3, num_cams=2, num_images=1)))
    assert isinstance(dataset, ReIDDataset) and len(dataset) == 10
    first, *parts = dataset.summary().split('\n')
    assert first.startswith('SourceTargetDataset of a source and 1 without labels: train 10 images / 2 identities')
    assert 'SyntheticReID(a)' in parts[0] and 'SyntheticReID(b)' in parts[1]
    assert np.unique(dataset.get_domains()).tolist() == [0, 1]


def test_bad_input():
    with pytest.raises(ValueError, match='at least one target'):
        joined()
    with pytest.raises(ValueError, match='no labelled image'):
        joined(drawn(TARGET, 'b'), source=drawn([(-1, 1)]))
    with pytest.raises(TypeError, match='part 1 must be a config or a ReIDDataset'):
        joined('viper')
    with pytest.raises(ValueError, match='both hold the image'):
        joined(drawn(SOURCE))
    with pytest.raises(ValueError, match="split='test'"):
        joined(SyntheticReID(split='test', num_test_pids=2, num_cams=2, num_images=2, cache=False))
