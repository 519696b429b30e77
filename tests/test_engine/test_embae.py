"""The three steps of EmbAE in short real trainings: what each trains and leaves, from where it starts."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from mmreid.datasets import SyntheticReID
from mmreid.engine.recipes import RecipeError, run_recipe
from mmreid.registry import DATASETS, HOOKS, MODELS, RUNNERS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from mmreid.utils.config import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
PEOPLE = dict(num_cams=3, num_images=2, size=(32, 16))
TESTED = {f'{split}_dataloader.dataset': dict(PEOPLE, num_test_pids=4, num_distractors=2, num_junk=1)
          for split in ('val', 'test')}
ONLY_TESTED = {key: value for key, value in TESTED.items() if key.startswith('test_')}
NOT_TESTED = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
#: Every config small: a MobileNet an eighth as wide, few people, two epochs.
SMALL = {
    'model.backbone.width_multiplier': 0.125, 'model.neck': dict(in_channels=128, hidden_channels=16, feat_channels=8),
    'train_dataloader.batch_size': 24, 'train_cfg': dict(max_epochs=2, val_interval=2), 'log_level': 'WARNING'}
LABELLED = {'train_dataloader.dataset': dict(PEOPLE, num_train_pids=16),
            'train_dataloader.sampler': dict(num_pids=6, num_instances=4), 'param_scheduler': None}
HEAD = {'model.heads.ae': dict(in_channels=128, id_channels=8, nuisance_channels=4, hidden_channels=16)}
UNLABELLED = {**HEAD, 'train_dataloader.dataset.dataset': dict(PEOPLE, num_train_pids=20)}
NEW = {'custom_hooks.1.phases.1.begin': 1, 'param_scheduler.milestones': [1]}
OFTEN = {'default_hooks.checkpoint': dict(by_epoch=False, interval=1, max_keep_ckpts=-1)}
STAGES = dict(embedding=LABELLED, autoencoder={**LABELLED, **HEAD}, target=UNLABELLED)
NUISANCE, DECODER, EMBEDDING = 'heads.ae.nuisance.', 'heads.ae.decoder.', 'neck.embedding.'


def flat(options, prefix=''):
    """Dotted keys of nested options, which are then merged into what is there."""
    for key, value in options.items():
        if isinstance(value, dict):
            yield from flat(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def weights(path):
    return read_checkpoint(path)['state_dict']


def changed(before, after, *prefixes):
    """Names below prefixes of what differs."""
    return {key for key in before if key in after and key.startswith(prefixes or '')
            and not torch.equal(before[key], after[key])}


def below(state, *prefixes):
    return {key for key in state if key.startswith(prefixes)}


def runner_of(name, folder, more=None):
    """A runner of a config, small."""
    entry = UNLABELLED if '2b_' in name else STAGES[name.split('_')[1]]
    options = dict(flat({**SMALL, **entry, **(NEW if name.endswith(('2b_new', '2b_cam')) else {}),
                         **NOT_TESTED, 'load_from': None, **(more or {})}))
    cfg = load_config(str(CONFIGS / f'embae/mobilenet_{name}.py'), options)
    cfg.work_dir = str(folder)
    return RUNNERS.build(cfg)


@pytest.fixture(scope='module')
def fix(tmp_path_factory):
    """The recipe of fix: its folder, the weights of step 1 and 2, and those of both epochs of step 3."""
    folder = tmp_path_factory.mktemp('fix')
    stages = {f'{stage}.{key}': value for stage, entry in STAGES.items() for key, value in entry.items()}
    run_recipe(CONFIGS / 'recipes/embae_synthetic_a2b_fix.py', work_dir=folder,
               options=dict(flat({**SMALL, **TESTED, **stages})))
    return folder, weights(folder / 'embedding/epoch_2.pth'), weights(folder / 'autoencoder/epoch_2.pth'), [
        weights(folder / f'target/epoch_{epoch}.pth') for epoch in (1, 2)]


@pytest.fixture(scope='module')
def cam(fix, tmp_path_factory):
    """The same of cam, from the embedding of fix, with a checkpoint after every step of its step 3."""
    folder = tmp_path_factory.mktemp('cam')
    runner_of('synthetic_autoencoder_cam', folder / 'autoencoder',
              {'load_from': str(fix[0] / 'embedding/epoch_2.pth')}).train()
    runner = runner_of('synthetic_a2b_cam', folder / 'target',
                       {'load_from': str(folder / 'autoencoder/epoch_2.pth'), **OFTEN})
    runner.train()
    assert runner.iter == 10
    return folder, fix[1], weights(folder / 'autoencoder/epoch_2.pth'), [
        weights(folder / f'target/iter_{step}.pth') for step in (5, 10)]


def test_step_2_leaves_the_embedding_bit_for_bit(fix, cam):
    """Parameters and statistics, and so the feature; encoder and decoder learn."""
    for folder, embedding, autoencoder, _ in (fix, cam):
        assert not changed(embedding, autoencoder) and below(embedding, 'backbone.', 'neck.') == set(embedding)
        assert any('running_var' in key for key in embedding)
        assert below(autoencoder, NUISANCE, DECODER) == set(autoencoder) - set(embedding)
        first = weights(folder / 'autoencoder/epoch_1.pth')
        constant = {key for key in first if key.endswith('num_batches_tracked')}
        assert changed(first, autoencoder) - constant == below(autoencoder, 'heads.ae.') - constant
        assert features(embedding).equal(features(autoencoder)) and features(embedding).abs().min() > 0


def features(state):
    """What is retrieved with, of the same images."""
    cfg = load_config(str(CONFIGS / 'embae/mobilenet_synthetic_embedding.py'), dict(flat(SMALL)))
    model = MODELS.build(dict(cfg.model.to_dict(), heads=None)).eval()
    model.load_state_dict({key: value for key, value in state.items() if not key.startswith('heads.')})
    images = torch.rand(4, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.extract_feature(images)


def test_fix_trains_embedding_and_decoder_only(fix):
    _, _, before, (_, after) = fix
    assert changed(before, after) == below(before, EMBEDDING, DECODER)
    assert below(before, NUISANCE) == below(after, NUISANCE) and below(before, f'{NUISANCE}shared.')


def test_cam_trains_new_encoders_first_and_the_embedding_then(cam):
    _, _, before, (middle, after) = cam
    assert not changed(before, middle, 'backbone.', 'neck.', DECODER)
    assert changed(before, middle, NUISANCE) >= {
        key for key in below(before, NUISANCE) if key.endswith('weight')}, 'the old encoders are discarded'
    assert {key.split('.')[3] for key in below(middle, NUISANCE)} == {'d0_c1', 'd0_c2', 'd0_c3'}
    assert changed(middle, after) == below(middle, EMBEDDING, DECODER)


def test_straightforward_trains_everything_but_mobilenet(fix, tmp_path):
    folder, _, before, _ = fix
    straightforward(folder, tmp_path).train()
    assert changed(before, weights(tmp_path / 'epoch_2.pth')) == below(before, EMBEDDING, 'heads.ae.')


def straightforward(folder, work_dir, **more):
    return runner_of('synthetic_a2b_straightforward', work_dir,
                     {'load_from': str(folder / 'autoencoder/epoch_2.pth'), **more})


def test_with_the_backbone_its_features_are_a_moving_target(fix, tmp_path):
    """The first half leaves it as it is, the second trains it; the target itself passes no gradient."""
    folder, _, before, _ = fix
    runner = runner_of('synthetic_a2b_new_backbone', tmp_path, {
        **NEW, 'load_from': str(folder / 'autoencoder/epoch_2.pth')})
    runner.train()
    middle, after = (weights(tmp_path / f'epoch_{epoch}.pth') for epoch in (1, 2))
    assert not changed(before, middle, 'backbone.') and not changed(middle, after, NUISANCE)
    moved = changed(middle, after, 'backbone.')
    assert {'backbone.stem.conv.weight', 'backbone.block13.pointwise.bn.running_mean'} <= moved
    assert runner.model.heads.ae.detach_target


@HOOKS.register_module()
class EmbAEWitness(Hook):
    """Losses of every step."""

    def __init__(self):
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({key: float(value) for key, value in outputs.items()})


@DATASETS.register_module()
class PoisonedSynthetic(SyntheticReID):
    """The same pictures, and everybody is somebody else."""

    def load_records(self):
        records = super().load_records()
        return [dict(record, drawn=record['pid'], pid=1 + 7 * record['pid'] % 5) for record in records]

    def load_image(self, info):
        return super().load_image(dict(info, pid=info['drawn']))


def test_labels_of_the_target_are_not_read(fix, tmp_path):
    folder, *_ = fix
    runs = []
    for kind in ('SyntheticReID', 'PoisonedSynthetic'):
        runner = straightforward(folder, tmp_path / kind, **{'train_dataloader.dataset.dataset.type': kind})
        runner.register_hook(EmbAEWitness())
        runner.train()
        witness = next(hook for hook in runner.hooks if isinstance(hook, EmbAEWitness))
        runs.append((witness.losses, weights(tmp_path / kind / 'epoch_2.pth')))
    assert runs[0][0] == runs[1][0] and len(runs[0][0]) > 2
    assert not changed(runs[0][1], runs[1][1])
    assert set(runs[0][0][0]) == {'loss', 'ae.loss_ae', 'ae.relative_error'}


@pytest.mark.parametrize('step', [3, 7])
def test_a_training_that_is_resumed_inside_a_half_of_new(cam, tmp_path, step):
    """After 3 of the 5 steps of the first half, and after 2 of the second, bit for bit."""
    folder, _, _, (_, after) = cam
    again = runner_of('synthetic_a2b_cam', tmp_path, {
        **OFTEN, 'resume': True, 'load_from': str(folder / f'target/iter_{step}.pth')})
    again.train()
    assert again.iter == 10 and not changed(after, again.model.state_dict())


# ---- steps in the wrong order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('name, source, found, needed', [
    ('synthetic_a2b_fix', 'embedding', 'embedding', 'autoencoder'),
    ('synthetic_a2b_fix', 'target', 'fine-tuning', 'autoencoder'),
    ('synthetic_autoencoder', 'target', 'fine-tuning', 'embedding')])
def test_a_checkpoint_of_a_wrong_step(fix, tmp_path, name, source, found, needed):
    runner = runner_of(name, tmp_path, {'load_from': str(fix[0] / source / 'epoch_2.pth')})
    with pytest.raises(CheckpointError, match=rf'epoch_2\.pth is of the step "{found}" of EmbAE, and the step ".*" of '
                                              rf'EmbAE starts from a checkpoint of the step "{needed}": give'):
        runner.train()


def test_testing_takes_any_step(fix, tmp_path):
    """The baseline: the file of step 1 under the config of step 3."""
    scores = runner_of('synthetic_a2b_fix', tmp_path, {
        'load_from': str(fix[0] / 'embedding/epoch_2.pth'), **ONLY_TESTED}).test()
    assert {f'{kind}{protocol}/{score}' for kind in ('', 'raw/') for protocol in ('market1501', 'nd')
            for score in ('mAP', 'rank-1')} <= set(scores)


def test_a_recipe_in_the_wrong_order_is_refused_before_its_first_stage(tmp_path):
    (tmp_path / 'wrong.py').write_text(
        f"_base_ = '{CONFIGS}/recipes/embae_synthetic_a2b_fix.py'\nstages = dict(target=dict(init_from='embedding'))\n")
    with pytest.raises(RecipeError, match='there is no "heads.ae" in what it starts from'):
        run_recipe(tmp_path / 'wrong.py', work_dir=tmp_path / 'work', options=dict(flat(
            {**SMALL, **TESTED, **{f'{stage}.{key}': value for stage, entry in STAGES.items()
                                   for key, value in entry.items()}})))
    assert not (tmp_path / 'work').exists()


def test_cameras_that_nobody_knows(tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((32, 16, 3), number, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"nuisance='per_camera'.*FolderReID\(.*Set nuisance='shared'"):
        runner_of('synthetic_a2b_cam', tmp_path / 'work', {'train_dataloader.dataset.dataset': dict(
            _delete_=True, type='FolderReID', data_root=str(tmp_path), labels=False)})
