"""The three steps of EmbAE in short real trainings: what each trains and leaves, from where it starts."""

import datetime
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.hooks import Hook

from mmreid.datasets import SyntheticReID
from mmreid.engine.recipes import RecipeError, RecipeRun, run_recipe
from mmreid.registry import DATASETS, HOOKS, MODELS, RUNNERS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint
from mmreid.utils.config import ConfigError, load_config
from mmreid.utils.distributed import close_process_group
from tests.test_engine.test_load_parts import stop_at
from tests.test_engine.test_resume import Interrupted

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
NEW = {'custom_hooks.1.phases.1.begin': 1,  # the rates of the full schedule
       'param_scheduler': dict(_delete_=True, type='MultiStepLR', by_epoch=True, milestones=[1], gamma=0.1)}
OFTEN = {'default_hooks.checkpoint': dict(by_epoch=False, interval=1, max_keep_ckpts=-1)}
STAGES = dict(embedding=LABELLED, autoencoder={**LABELLED, **HEAD}, target=UNLABELLED)
#: The classifier of drawn pedestrians that small recipes begin with.
DRAWN = {'model.neck.in_channels': 128, 'model.heads.id.in_channels': 128, 'param_scheduler': None,
         'train_dataloader.dataset': dict(PEOPLE, num_train_pids=16)}
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


def recipe_options(**more):
    """Options of a recipe, small; ``more`` by stage."""
    common = {**SMALL, **TESTED}
    neck = {'model.neck': common.pop('model.neck')}
    stages = dict({stage: {**neck, **entry} for stage, entry in STAGES.items()}, drawn=DRAWN)
    return dict(flat({**common, **{f'{stage}.{key}': value for stage, entry in stages.items()
                                   for key, value in {**entry, **more.get(stage, {})}.items()}}))


@pytest.fixture(scope='module')
def fix(tmp_path_factory):
    """The recipe of fix: its folder, the weights of step 1 and 2, and those of both epochs of step 3."""
    folder = tmp_path_factory.mktemp('fix')
    run_recipe(CONFIGS / 'recipes/embae_synthetic_a2b_fix.py', work_dir=folder, options=recipe_options())
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
        run_recipe(tmp_path / 'wrong.py', work_dir=tmp_path / 'work', options=recipe_options())
    assert not (tmp_path / 'work').exists()


def nameless(folder):
    """Data of images whose cameras are not known."""
    folder.mkdir(exist_ok=True)
    for number in range(30):
        cv2.imwrite(str(folder / f'{number}.png'), np.full((32, 16, 3), number, dtype=np.uint8))
    return {'train_dataloader.dataset.dataset': dict(
        _delete_=True, type='FolderReID', data_root=str(folder), labels=False)}


def test_cameras_that_nobody_knows(tmp_path):
    with pytest.raises(ValueError, match=r"nuisance='per_camera'.*FolderReID\(.*Set nuisance='shared'"):
        runner_of('synthetic_a2b_cam', tmp_path / 'work', nameless(tmp_path / 'images'))


# ---- encoders of other data, and of none -----------------------------------------------------------------------------

EACH_CAMERA = {'model.heads.ae.nuisance': 'per_camera'}
WITHOUT = {'load_parts': ('backbone', 'neck', 'heads.ae.decoder')}


def log_of(runner):
    return next(Path(runner.work_dir, runner.timestamp).glob('*.log')).read_text()


@pytest.mark.parametrize('domain, cameras, warned', [
    ('b', None, ('SyntheticReID(a) camera 1, SyntheticReID(a) camera 2, SyntheticReID(a) camera 3',
                 'SyntheticReID(b) camera 1, SyntheticReID(b) camera 2, SyntheticReID(b) camera 3')),
    ('a', None, None), ('a', [2, 3], None)])
def test_encoders_that_go_on_with_other_cameras_without_labels(cam, tmp_path, domain, cameras, warned):
    more = {'train_dataloader.dataset.dataset.domain': domain, 'train_dataloader.dataset.dataset.keep_camids': cameras}
    runner = runner_of('synthetic_a2b_fix', tmp_path, {
        'load_from': str(cam[0] / 'autoencoder/epoch_2.pth'), **EACH_CAMERA, **more})
    assert type(runner.train_dataloader.dataset).__name__ == 'UnlabelledDataset'
    assert runner.train_dataloader.dataset.metainfo['identities'] is None
    log = log_of(runner)
    assert ('were trained on other data' in log) == (warned is not None)
    if warned:
        assert f'were trained on other data ({warned[0]}) than they go on with here ({warned[1]})' in log


@pytest.mark.parametrize('options, stuck', [
    ({**EACH_CAMERA, **WITHOUT}, 'heads.ae.nuisance.d0_c1, heads.ae.nuisance.d0_c2, heads.ae.nuisance.d0_c3'),
    ({**EACH_CAMERA, 'load_parts': None, 'train_dataloader.dataset.dataset.num_cams': 4}, 'heads.ae.nuisance.d0_c4'),
    (WITHOUT, 'heads.ae.nuisance.shared')], ids=['not taken', 'a fourth camera', 'of another kind'])
def test_encoders_that_would_never_be_trained(cam, tmp_path, options, stuck):
    runner = runner_of('synthetic_a2b_fix', tmp_path, {
        'load_from': str(cam[0] / 'autoencoder/epoch_2.pth'), **options})
    with pytest.raises(ConfigError, match=rf'epoch_2\.pth: {re.escape(stuck)} would stay as drawn.*"new" and "cam"'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


def test_a_fourth_camera_is_no_matter_where_it_is_trained(cam, tmp_path):
    """Straightforward trains all encoders; and testing asks nothing of this."""
    more = {**EACH_CAMERA, 'load_parts': None, 'train_dataloader.dataset.dataset.num_cams': 4}
    straightforward(cam[0], tmp_path / 'a', **more).train()
    after = weights(tmp_path / 'a/epoch_2.pth')
    assert {key.split('.')[3] for key in below(after, NUISANCE)} == {'d0_c1', 'd0_c2', 'd0_c3', 'd0_c4'}
    given = {'load_from': str(cam[0] / 'autoencoder/epoch_2.pth'), **more, **ONLY_TESTED}
    assert 'market1501/mAP' in runner_of('synthetic_a2b_fix', tmp_path / 'b', given).test()


def test_encoders_of_another_kind_are_discarded_with_a_warning(fix, tmp_path):
    """cam from a shared autoencoder: as in the paper, which keeps no theta_nui."""
    runner = runner_of('synthetic_a2b_cam', tmp_path, {
        'load_from': str(fix[0] / 'autoencoder/epoch_2.pth'), 'log_level': 'INFO'})
    runner.call_hook = stop_at(runner, 'before_train', runner.call_hook)
    with pytest.raises(Interrupted):
        runner.train()
    log = log_of(runner)
    assert 'taken from it: none; new here: d0_c1, d0_c2, d0_c3; left in the file: shared' in log
    assert "is an autoencoder with nuisance='shared', this training has nuisance='per_camera'" in log
    assert 'WARNING' in log and 'its encoders (shared) are discarded' in log


@pytest.mark.parametrize('name, more, expected', [
    ('cam', None, "Stage \"target\" (its model): nuisance='per_camera' needs to know the camera of every image, and "
                  'FolderReID('),
    ('fix', {'train_dataloader.dataset.dataset.num_cams': 4}, 'missing: heads.ae.nuisance.d0_c4'),
    ('fix', {'train_dataloader.dataset.dataset.num_cams': 3}, None)])
def test_cameras_are_compared_before_the_first_stage(tmp_path, name, more, expected):
    each = {} if name == 'cam' else EACH_CAMERA
    target = {**(nameless(tmp_path / 'images') if more is None else more), **each}
    options = recipe_options(target=target, autoencoder=each)
    path = CONFIGS / f'recipes/embae_synthetic_a2b_{name}.py'
    if expected is None:
        RecipeRun(path, work_dir=tmp_path / 'work', options=options)
        return
    with pytest.raises(RecipeError) as caught:
        RecipeRun(path, work_dir=tmp_path / 'work', options=options)
    assert expected in str(caught.value) and '(1 problem)' in str(caught.value)


def test_a_carry_that_leaves_encoders_untrained_is_refused_before_the_first_stage(tmp_path):
    (tmp_path / 'stuck.py').write_text(
        f"_base_ = '{CONFIGS}/recipes/embae_synthetic_a2b_fix.py'\n"
        "stages = dict(target=dict(carry=('backbone', 'neck', 'heads.ae.decoder')))\n")
    with pytest.raises(RecipeError, match=r'"target" \(init_from autoencoder\): heads.ae.nuisance.shared would stay'):
        RecipeRun(tmp_path / 'stuck.py', work_dir=tmp_path / 'work', options=recipe_options())


# ---- two processes ---------------------------------------------------------------------------------------------------

SIX_CAMERAS = {'train_dataloader.dataset.dataset': dict(num_cams=6, num_train_pids=6, num_images=1, size=(32, 16)),
               'train_dataloader.batch_size': 3}


@HOOKS.register_module()
class CameraWitness(Hook):
    """Encoders that the images of every step of this process need, and all weights before and after the first."""

    def __init__(self):
        self.cameras, self.weights = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.cameras.append({f'd{sample.domain}_c{sample.camid}' for sample in data_batch['data_samples']})
        if len(self.weights) < 2:
            self.weights.append({key: value.clone() for key, value in runner.model.module.state_dict().items()})


def step_3_of_one_process(rank, source, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2,
                            timeout=datetime.timedelta(seconds=100))
    runner = runner_of('synthetic_a2b_cam', folder / 'work', {
        'load_from': source, 'launcher': 'pytorch', **SIX_CAMERAS})
    runner.register_hook(CameraWitness())
    runner.train()
    witness = next(hook for hook in runner.hooks if isinstance(hook, CameraWitness))
    torch.save(dict(cameras=witness.cameras, first=witness.weights, last=runner.model.module.state_dict()),
               folder / f'{rank}.pt')
    close_process_group()


def test_cam_in_two_processes_with_absent_cameras(cam, tmp_path, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    source = cam[0] / 'autoencoder/epoch_2.pth'
    mp.start_processes(step_3_of_one_process, args=(str(source), tmp_path), nprocs=2, start_method='spawn')
    zero, one = (torch.load(tmp_path / f'{rank}.pt', weights_only=False) for rank in range(2))
    everyone = {f'd0_c{camid}' for camid in range(1, 7)}
    seen = [left | right for left, right in zip(zero['cameras'], one['cameras'], strict=True)]
    assert len(seen) == 12 and all(part != everyone for part in zero['cameras'] + one['cameras'])
    assert any(left != right for left, right in zip(zero['cameras'], one['cameras'])) and set().union(*seen) == everyone
    absent = everyone - seen[0]
    assert absent, 'nobody has an image of these cameras in the first step'
    parameters = {key for key in zero['last'] if 'running' not in key and 'num_batches' not in key}
    for outcome in (zero['first'][0], zero['first'][1], zero['last']):
        assert everyone == {key.split('.')[3] for key in below(outcome, NUISANCE)}
    for mine, others in zip((*zero['first'], zero['last']), (*one['first'], one['last'])):
        assert not changed(mine, others) & parameters, 'the processes agree'
    before, after = zero['first']
    assert not changed(weights(source), before, 'backbone.', 'neck.', DECODER)
    assert {key.split('.')[3] for key in changed(before, after) & parameters} == seen[0]
    assert changed(before, after) <= below(after, *(f'{NUISANCE}{key}.' for key in seen[0]))
    stored = weights(tmp_path / 'work/epoch_2.pth')
    assert not changed(stored, zero['last']) and not changed(before, stored, 'backbone.')
    middle = weights(tmp_path / 'work/epoch_1.pth')
    assert {key.split('.')[3] for key in changed(before, middle, NUISANCE) & parameters} == everyone
    assert changed(middle, stored) == below(middle, EMBEDDING, DECODER)
