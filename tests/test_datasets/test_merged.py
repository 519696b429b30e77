import os
import os.path as osp
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmreid.datasets import Market1501, PKSampler, ReIDDataset, SeededIndex, ShuffleSampler, SyntheticReID, reid_collate
from mmreid.datasets.folder import FolderReID
from mmreid.datasets.merged import MergedReIDDataset
from mmreid.datasets.samplers import DomainBalancedSampler, SingleDatasetPKSampler
from mmreid.registry import DATASETS

from .conftest import write_image

BASES = osp.join(osp.dirname(__file__), '../../configs/_base_/datasets')
PIPELINE = [dict(type='LoadImage'), dict(type='Resize', scale=(16, 32)), dict(type='RandomFlip', prob=0.5),
            dict(type='mmpretrain.RandomErasing', mode='rand', erase_prob=0.5), dict(type='PackReIDInputs')]


class Drawn(ReIDDataset):
    """Records without files: (pid, camid); the pixels say which part and row they are of."""

    def __init__(self, pairs, name='a', **kwargs):
        self.pairs, self.name = pairs, name
        super().__init__(**kwargs)

    def load_records(self):
        return [dict(img_path=f'{self.name}{row}.jpg', pid=pid, camid=camid, split='train', note=f'{self.name}{row}')
                for row, (pid, camid) in enumerate(self.pairs)]

    def load_image(self, info):
        return np.full((4, 2, 3), [ord(self.name), info['sample_idx'], 0], dtype=np.uint8)

    def get_image(self, idx):
        cached = super().get_image(idx)
        return self.load_image(self.get_data_info(idx)) if cached is None else cached


class Nobodies(Drawn):
    NON_IDENTITIES = (-1, 0)


A = [(7, 1), (7, 2), (3, 2), (-1, 1)]
B = [(0, 0), (3, 1), (3, 0)]
C = [(0, 5), (9, 5)]


def merge(*parts, **kwargs):
    return MergedReIDDataset(list(parts), **kwargs)


def test_identities_cameras_and_classes_are_never_shared():
    merged = merge(Drawn(A), Drawn(B, 'b'), Nobodies(C, 'c'))
    assert merged.get_pids().tolist() == [7, 7, 3, -1, 8, 11, 11, -1, 21]
    assert merged.get_camids().tolist() == [1, 2, 2, 1, 3, 4, 3, 10, 10]
    assert merged.get_labels().tolist() == [1, 1, 0, -1, 2, 3, 3, -1, 4]
    assert merged.get_domains().tolist() == [0] * 4 + [1] * 3 + [2] * 2
    assert set(merged.get_splits()) == {'train'} and len(merged) == 9
    assert merged.num_classes == merged.metainfo['num_classes'] == 5
    assert merged.get_domains().dtype == np.int64
    with pytest.raises(ValueError):
        merged.get_domains()[0] = 1


def test_records_keep_the_published_numbers_and_more():
    info = merge(Drawn(A), Drawn(B, 'b')).get_data_info(5)
    assert info == dict(img_path='b1.jpg', pid=11, camid=4, source_pid=3, source_camid=1, domain=1, split='train',
                        gt_label=3, sample_idx=5, part=1, part_row=1, note='b1')
    assert merge(Nobodies(C, 'c')).get_data_info(0)['source_pid'] == 0


def test_domain_ids_that_differ_are_kept():
    assert merge(Drawn(A, domain_id=4), Drawn(B, 'b', domain_id=2)).get_domains().tolist() == [4] * 4 + [2] * 3
    merged = merge(Drawn(A, domain_id=4), Drawn(B, 'b', domain_id=4))
    assert merged.get_domains().tolist() == [0] * 4 + [1] * 3
    assert merged.domain_names == {0: 'Drawn', 1: 'Drawn'}


def test_nested():
    flat = merge(Drawn(A), Drawn(B, 'b'), Drawn(C, 'c'))
    nested = merge(merge(Drawn(A), Drawn(B, 'b')), Drawn(C, 'c'))
    for name in ('get_pids', 'get_labels', 'get_camids', 'get_domains'):
        assert np.array_equal(getattr(flat, name)(), getattr(nested, name)())
    for row in range(len(flat)):
        one, two = flat.get_data_info(row), nested.get_data_info(row)
        assert all(one[key] == two[key] for key in ('source_pid', 'source_camid', 'note'))
        assert np.array_equal(flat.get_image(row), nested.get_image(row))
    assert nested.summary().count('Drawn: train') == 3 and nested.metainfo['identities'].count('Drawn') == 3


def test_options_of_the_parts_hold():
    many = [(pid, 1) for pid in range(1, 11)]
    merged = merge(Drawn(many, num_labeled_ids=3), Drawn(many, 'b', num_pids=4), Drawn(many, 'c', indices=[0, 1]))
    labels, domains = merged.get_labels(), merged.get_domains()
    assert len(merged) == 16 and merged.num_classes == 9
    assert (labels[domains == 0] == -1).sum() == 7 and sorted(labels[labels >= 0]) == list(range(9))


def test_options_of_the_whole_mean_the_new_numbers():
    merged = merge(Drawn(A), Drawn(B, 'b'), keep_pids=[3, 11], keep_camids=[2, 3])
    assert merged.get_pids().tolist() == [3, 11] and merged.num_classes == 2
    assert [merged.get_image(row)[0, 0].tolist() for row in range(2)] == [[97, 2, 0], [98, 2, 0]]
    few = merge(Drawn(A), Drawn(B, 'b'), num_labeled_ids=1)
    assert few.num_classes == 1 and len(few) == 7


def test_unlabelled_part_keeps_its_images(tmp_path):
    for number in range(3):
        write_image(tmp_path / f'{number}.jpg', number)
    merged = merge(Drawn(A), FolderReID(str(tmp_path), labels=False))
    assert merged.get_labels().tolist() == [1, 1, 0, -1, -1, -1, -1] and merged.num_classes == 2
    assert merged.get_domains().tolist() == [0] * 4 + [1] * 3


def test_fingerprint():
    def identities(*parts, **kwargs):
        return merge(*parts, **kwargs).metainfo['identities']

    assert identities(Drawn(A), Drawn(B, 'b')) == identities(Drawn(A), Drawn(B, 'b'))
    others = [identities(Drawn(A), Drawn(B, 'b')), identities(Drawn(B, 'b'), Drawn(A)), identities(Drawn(A)),
              identities(Drawn(A), Drawn(B[1:], 'b')), identities(Drawn(A), Drawn(B, 'b'), num_labeled_ids=2)]
    assert len(set(others)) == len(others)


# ---- pixels and samples ------------------------------------------------------------------------------------------


@pytest.mark.parametrize('caches', [(False, False), (True, False), (False, True)])
def test_pixels_come_from_the_parts(caches):
    merged = merge(Drawn(A, cache=caches[0]), Drawn(B, 'b', cache=caches[0]), cache=caches[1],
                   pipeline=[dict(type='LoadImage')])
    expected = [[97, row, 0] for row in range(4)] + [[98, row, 0] for row in range(3)]
    assert [merged.get_image(row)[0, 0].tolist() for row in range(7)] == expected
    assert [merged[row]['img'][0, 0].tolist() for row in range(7)] == expected
    assert (merged.cache_nbytes > 0) == caches[1]


def test_cache_of_files(market_tree):
    plain, cached = (merge(dict(type='Market1501', data_root=str(market_tree)), pipeline=PIPELINE, cache=cache)
                     for cache in (False, True))
    assert plain.get_image(0) is None and cached.cache_nbytes == 6 * 32 * 16 * 3
    for row in range(6):
        index = SeededIndex(row, seed=row)
        assert torch.equal(plain[index]['inputs'], cached[index]['inputs'])
    assert plain[5]['data_samples'].domain == 0 and plain[5]['data_samples'].label == 2


def test_sample_is_decided_by_its_seed(market_tree):
    merged = merge(dict(type='SyntheticReID', num_train_pids=2, num_images=1),
                   dict(type='Market1501', data_root=str(market_tree)), pipeline=PIPELINE)
    for row in (0, len(merged) - 1):
        one, two, three = (merged[SeededIndex(row, seed=seed)]['inputs'] for seed in (5, 5, 6))
        assert torch.equal(one, two) and not torch.equal(one, three)

    def batches(workers):
        loader = DataLoader(merged, 4, sampler=ShuffleSampler(merged, seed=1), num_workers=workers,
                            collate_fn=reid_collate)
        return [torch.stack(list(batch['inputs'])) for batch in loader]

    assert all(torch.equal(one, two) for one, two in zip(batches(0), batches(1), strict=True))


def test_pipelines_of_the_parts():
    def mark(text):
        return lambda info: dict(info, mark=text)

    parts = (Drawn(A, pipeline=[mark('a')]), Drawn(B, 'b', pipeline=[mark('b')]))
    assert [merge(*parts)[row]['mark'] for row in (3, 4)] == ['a', 'b']
    assert [merge(merge(*parts), Drawn(C, 'c', pipeline=[mark('c')]))[row]['mark'] for row in (3, 4, 7)] == list('abc')
    assert merge(*parts, pipeline=[mark('whole')])[4]['mark'] == 'whole'
    assert merge(merge(*parts), pipeline=[])[4]['note'] == 'b0' and 'mark' not in merge(merge(*parts), pipeline=[])[4]


def test_subsets_share_the_parts():
    merged = merge(Drawn(A, cache=True), Drawn(B, 'b'), cache=True)
    subset = merged.get_subset([6, 0])
    assert subset.datasets is merged.datasets and subset.num_classes == 4
    assert subset.get_domains().tolist() == [1, 0] and subset.get_labels().tolist() == [3, 1]
    assert [subset.get_image(row)[0, 0].tolist() for row in range(2)] == [[98, 2, 0], [97, 0, 0]]
    assert merge(Drawn(A), Drawn(B, 'b'), indices=[6, 0]).get_domains().tolist() == [1, 0]
    assert pickle.loads(pickle.dumps(merged)).get_domains().tolist() == merged.get_domains().tolist()


def test_lazy():
    merged = MergedReIDDataset([dict(type='SyntheticReID', num_train_pids=2, cache=False)], lazy_init=True)
    assert not merged.datasets[0]._fully_initialized
    assert merged.num_classes == 2 and merged.domain_names == {0: 'SyntheticReID(a)'}


def test_summary_names_every_part():
    text = merge(Drawn(A), SyntheticReID('b', num_train_pids=2, cache=False)).summary()
    assert text.splitlines() == [
        'MergedReIDDataset of 2: train 40 images / 4 identities / 8 cameras',
        '  - Drawn: train 4 images / 2 identities / 2 cameras',
        '  - SyntheticReID(b): train 36 images / 2 identities / 6 cameras']


def test_same_in_every_process():
    code = ('from mmreid.datasets.merged import MergedReIDDataset\nimport sys\n'
            'parts = [dict(type="SyntheticReID", domain=d, num_train_pids=9, num_pids=4, cache=False) for d in "ab"]\n'
            'data = MergedReIDDataset(parts)\n'
            'print([data.get_data_info(row) for row in range(len(data))], data.metainfo, file=sys.stderr)')
    found = [subprocess.run([sys.executable, '-c', code], env=dict(os.environ, PYTHONHASHSEED=seed), text=True,
                            capture_output=True, check=True).stderr.splitlines()[-1] for seed in ('1', '77')]
    assert found[0] == found[1] and 'source_pid' in found[0]


# ---- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('parts, options, error, part', [
    ([], {}, ValueError, 'a list of at least one config or dataset'),
    (dict(type='SyntheticReID'), {}, ValueError, 'a list of at least one'),
    ([[1, 2]], {}, TypeError, 'part 0 must be a config or a ReIDDataset, got list'),
    ([dict(type='SyntheticReID', split='test', num_test_pids=2, cache=False)], {}, ValueError,
     r"part 0 \(SyntheticReID\(a\)\) has split='test', only training splits"),
    ([dict(type='SyntheticReID')], dict(split='test'), ValueError, "training splits can be merged, got split='test'"),
    ([dict(type='SyntheticReID')], dict(domain_id=1), ValueError, 'domain_id must be given to the parts'),
    ([dict(type='SyntheticReID', num_train_pids=2, cache=False)] * 2, {}, ValueError,
     r'parts 0 \(SyntheticReID\(a\)\) and 1 .* both hold the image "synthetic://a'),
])
def test_errors(parts, options, error, part):
    with pytest.raises(error, match=part):
        MergedReIDDataset(parts, **options)


def test_errors_of_parts_come_through(tmp_path):
    with pytest.raises(FileNotFoundError, match='Market1501: the folder'):
        merge(dict(type='Market1501', data_root=str(tmp_path / 'no')))


# ---- with samplers and a runner ----------------------------------------------------------------------------------


@pytest.mark.parametrize('sampler', [PKSampler, SingleDatasetPKSampler])
def test_pk_samplers(sampler):
    merged = merge(*(SyntheticReID(domain, num_train_pids=6, num_images=1, cache=False) for domain in 'ab'))
    drawn = sampler(merged, 4, 2, seed=0)
    rows = np.asarray(list(map(int, drawn))).reshape(-1, 8)
    assert len(rows) == 72 // 8
    assert all(len(set(merged.get_labels()[batch].tolist())) == 4 for batch in rows)
    domains = [set(merged.get_domains()[batch].tolist()) for batch in rows]
    assert all(len(found) == 1 for found in domains) == (sampler is SingleDatasetPKSampler)


def test_too_few_identities_names_the_dataset():
    merged = merge(SyntheticReID(num_train_pids=6, cache=False), Drawn(B, 'b'))
    with pytest.raises(ValueError, match=r'domain 1 \(Drawn\) has 2. Lower num_pids to at most 2'):
        SingleDatasetPKSampler(merged, 4, 2, seed=0)


def test_balanced_by_domain():
    merged = merge(Drawn([(pid, 1) for pid in range(90)]), Drawn([(pid, 1) for pid in range(10)], 'b'))
    rows = list(map(int, DomainBalancedSampler(merged, seed=0)))
    assert np.bincount(merged.get_domains()[rows]).tolist() == [50, 50]


@pytest.mark.parametrize('name, sampler', [('market_duke.py', 'ShuffleSampler'),
                                           ('cuhk03_market.py', 'SingleDatasetPKSampler')])
def test_configs(name, sampler, market_tree):
    config = Config.fromfile(osp.join(BASES, name))
    loader = config.train_dataloader
    assert loader.sampler.type == sampler and config.val_dataloader.dataset.type == 'Market1501'
    assert loader.dataset.pipeline == config.train_pipeline and 'split' not in loader.dataset
    market = [part for part in loader.dataset.datasets if part.type == 'Market1501']
    assert len(market) == 1 and len(loader.dataset.datasets) == 2
    if 'num_pids' in loader.sampler:
        assert loader.batch_size == loader.sampler.num_pids * loader.sampler.num_instances
        loader.sampler.num_pids = 3
    market[0].data_root = str(market_tree)
    other = next(part for part in loader.dataset.datasets if part is not market[0])
    other.clear()
    other.update(type='SyntheticReID', num_train_pids=3, num_images=2)
    loader.update(batch_size=12, num_workers=0, persistent_workers=False)
    loader.drop_last = True
    with DefaultScope.overwrite_default_scope('mmreid'):
        built = Runner.build_dataloader(loader, seed=0)
    batch = next(iter(built))
    assert len(batch['inputs']) == 12 and all(tuple(image.shape) == (3, 256, 128) for image in batch['inputs'])
    assert built.dataset.num_classes == 6


def test_config_of_a_folder(tmp_path, monkeypatch):
    for pid in range(1, 5):
        for shot in range(2):
            (tmp_path / 'old_cameras' / str(pid)).mkdir(parents=True, exist_ok=True)
            write_image(tmp_path / 'old_cameras' / str(pid) / f'{shot}.jpg', pid)
    monkeypatch.setenv('MMREID_DATA_ROOT', str(tmp_path))
    config = Config.fromfile(osp.join(BASES, 'folder.py'))
    assert config.val_evaluator.protocols == ['all']
    with DefaultScope.overwrite_default_scope('mmreid'):
        train, test = (DATASETS.build(loader.dataset) for loader in (config.train_dataloader, config.test_dataloader))
    assert train.num_classes == 2 and train[0]['inputs'].shape == (3, 256, 128)
    assert (test.get_splits() == 'query').sum() == 2


def snippets_for_folders():
    with open(osp.join(BASES, 'folder.py'), encoding='utf-8') as file:
        lines = [line[6:] for line in file if line.startswith('#     ')]
    yield 'folder.py', f'_base_ = {osp.join(BASES, "folder.py")!r}\n' + ''.join(lines), r'_c(\d+)', ['market1501']
    with open(osp.join(osp.dirname(BASES), '../../docs/en/user_guides/datasets.md'), encoding='utf-8') as file:
        block, = (text.partition('```')[0] for text in file.read().split('```python\n') if text.startswith('_base_'))
    configs = osp.join(BASES, '../..')
    yield 'datasets.md', block.replace("'configs/", f"'{configs}/"), r'cam(\d+)/', ['market1501', 'nd']


@pytest.mark.parametrize('where, text, pattern, protocols', [
    pytest.param(*given, id=given[0]) for given in snippets_for_folders()])
def test_snippets_for_folders(tmp_path, where, text, pattern, protocols):
    """They change training, validation and test alike."""
    (tmp_path / 'mine.py').write_text(text)
    config = Config.fromfile(str(tmp_path / 'mine.py'))
    loaders = config.train_dataloader, config.val_dataloader, config.test_dataloader
    assert [(loader.dataset.type, loader.dataset.split, loader.dataset.camera_pattern) for loader in loaders] == [
        ('FolderReID', split, pattern) for split in ('train', 'test', 'test')]
    assert config.val_evaluator == config.test_evaluator == dict(type='ReIDMetric', protocols=protocols)


def test_is_registered(market_tree):
    built = DATASETS.build(dict(type='MergedReIDDataset', datasets=[Market1501(str(market_tree), check_counts=False)]))
    assert built.num_classes == 3


def test_the_same_images_through_a_link(tmp_path, market_tree):
    (tmp_path / 'link').symlink_to(market_tree)
    roots = (market_tree, tmp_path / 'link')
    parts = [dict(type='Market1501', data_root=str(root), check_counts=False) for root in roots]
    with pytest.raises(ValueError, match='both hold the image'):
        MergedReIDDataset(parts).full_init()
