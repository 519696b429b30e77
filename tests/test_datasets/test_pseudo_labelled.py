"""Labels laid over images."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmreid.datasets import PseudoLabelDataset, SyntheticReID, reid_collate

PIPELINE = [dict(type='LoadImage'), dict(type='RandomFlip', prob=0.5), dict(type='PackReIDInputs')]
TEST_PIPELINE = [dict(type='LoadImage'), dict(type='PackReIDInputs')]


def images(**options):
    return dict(type='SyntheticReID', domain='a', split='train', num_train_pids=6, num_cams=2, num_images=2,
                size=(32, 16), **options)


def overlay(keep_labels=False, **options):
    return PseudoLabelDataset(images(**options), PIPELINE, TEST_PIPELINE, keep_labels)


def test_before_there_are_labels():
    data = overlay()
    assert len(data) == 24 and set(data.get_labels()) == {-1}
    assert data[3]['data_samples'].label == -1
    assert len(data.pool_rows) == 24 and not len(data.labelled_rows)


def test_selected_rows_carry_the_laid_labels():
    data = overlay()
    labels = np.arange(24) % 4
    mask = np.arange(24) % 3 == 0
    data.set_labels(labels, mask)
    rows = np.flatnonzero(mask)
    assert data.get_rows().tolist() == rows.tolist() and data.metainfo['num_classes'] == 4
    source = SyntheticReID(**{key: value for key, value in images().items() if key != 'type'})
    for place, row in enumerate(rows):
        sample = data[place]['data_samples']
        assert (sample.label, sample.label_source) == (row % 4, 'pseudo')
        assert sample.img_path == source.get_data_info(int(row))['img_path']
    assert data.get_camids().tolist() == source.get_camids()[rows].tolist()


def test_labels_reach_the_loading_processes():
    data = overlay()
    seen = []
    for shift in (0, 1):
        data.set_labels((np.arange(24) + shift) % 2)
        loader = DataLoader(data, batch_size=24, num_workers=2, persistent_workers=True, collate_fn=reid_collate)
        seen.append([sample.label for sample in next(iter(loader))['data_samples']])
    assert seen == [[0, 1] * 12, [1, 0] * 12]


def test_true_labels_are_never_read():
    """Poisoned labels change nothing of what is trained on or extracted."""
    data, poisoned = overlay(), overlay()
    poisoned.source.get_labels = None  # calling it fails
    for dataset in (data, poisoned):
        dataset.set_labels(np.arange(24) % 5)
    for place in range(24):
        a, b = data.get_data_info(place), poisoned.get_data_info(place)
        assert a == b
    assert 'gt_label' not in data.pool_view()[0]['data_samples']


def test_labelled_people_get_classes_behind_the_clusters():
    data = overlay(keep_labels=True, num_labeled_ids=2)
    known, pool = data.labelled_rows, data.pool_rows
    assert len(known) == 8 and len(pool) == 16
    labels = np.full(16, -1)
    labels[[0, 5, 7]] = [1, 0, 1]
    data.set_labels(labels)
    assert len(data) == 3 + 8 and data.metainfo['num_classes'] == 4
    truth = data.source.get_labels()
    for place, row in enumerate(data.get_rows()):
        info = data.get_data_info(place)
        if row in known:
            assert (info['gt_label'], info['label_source']) == (2 + truth[row], 'true')
        else:
            assert (info['gt_label'], info['label_source']) == (labels[np.flatnonzero(pool == row)[0]], 'pseudo')


def test_with_all_labels_it_is_supervised_learning():
    data = overlay(keep_labels=True)
    data.set_labels(np.empty(0, dtype=np.int64))
    source = data.source
    assert data.get_labels().tolist() == source.get_labels().tolist() and len(data) == len(source)


def test_extraction_sees_the_pool_under_the_test_pipeline():
    data = overlay(keep_labels=True, num_labeled_ids=2)
    view = data.pool_view()
    assert len(view) == 16
    for place, row in enumerate(data.pool_rows):
        sample = view[place]
        assert sample['data_samples'].sample_idx == place
        assert torch.equal(sample['inputs'], view[place]['inputs'])  # no random flip
        assert sample['data_samples'].img_path == data.source.get_data_info(int(row))['img_path']


@pytest.mark.parametrize('labels, mask, message', [
    (np.zeros(5), None, 'one entry for each of the 24'),
    (np.arange(24) % 3 - 1, np.ones(24, dtype=bool), '8 selected images have no label'),
    (np.arange(24) % 2 * 2, None, 'without gaps'),
    (np.full(24, -1), None, 'no image is selected'),
])
def test_labels_that_make_no_sense(labels, mask, message):
    with pytest.raises(ValueError, match=message):
        overlay().set_labels(labels, mask)


def test_wrong_data():
    with pytest.raises(ValueError, match='split=.test.'):
        PseudoLabelDataset(dict(images(), split='test'), PIPELINE, TEST_PIPELINE)
    with pytest.raises(TypeError, match='got list'):
        PseudoLabelDataset([1], PIPELINE, TEST_PIPELINE)
