"""Taking over parts of a network: what is named is loaded completely, everything else starts new."""

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from mmreid.registry import HOOKS, MODELS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from mmreid.utils.config import ConfigError, drop_training, load_config
from tests.test_engine.test_resume import Interrupted
from tests.test_engine.toy import RUNNERS, ToyTaps, toy_config, toy_runner
from tests.test_utils.test_checkpoint import same

PLAIN = dict(model__neck=dict(_delete_=True, type='ReductionNeck', in_channels=8, feat_channels=16))
OTHER_PEOPLE = dict(train_dataloader__dataset__domain='b')
OTHER_NUMBER = dict(OTHER_PEOPLE, train_dataloader__dataset__num_train_pids=5)


@MODELS.register_module()
class InitTaps(ToyTaps):
    """Says how often it was initialised; its weights cannot be had without a network."""

    calls = 0
    is_init = property(lambda self: getattr(self, '_is_init', False))

    def init_weights(self) -> None:
        type(self).calls += 1
        nn.init.constant_(self.stem[0].weight, 0.25)


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    """Checkpoints of a network with PTL and of a plain one."""
    folder = tmp_path_factory.mktemp('source')
    toy_runner(folder / 'ptl', train_cfg__max_epochs=1).train()
    toy_runner(folder / 'plain', train_cfg__max_epochs=1, **PLAIN).train()
    return dict(ptl=folder / 'ptl' / 'epoch_1.pth', plain=folder / 'plain' / 'epoch_1.pth')


def before_first_step(folder, **options):
    """Weights with which a training starts, and its log."""
    runner = toy_runner(folder, log_level='INFO', **options)
    runner.call_hook = stop_at(runner, 'before_train', runner.call_hook)
    with pytest.raises(Interrupted):
        runner.train()
    log = next((folder / runner.timestamp).glob('*.log')).read_text()
    return {key: value.clone() for key, value in runner.model.state_dict().items()}, log


def stop_at(runner, hook, call):
    def stopping(name, *args, **kwargs):
        if name == hook:
            raise Interrupted
        return call(name, *args, **kwargs)
    return stopping


@pytest.mark.parametrize('kind, options', [('ptl', {}), ('plain', PLAIN)], ids=['ptl', 'plain'])
@pytest.mark.parametrize('data', [{}, OTHER_PEOPLE, OTHER_NUMBER], ids=['same people', 'other people', 'other number'])
def test_backbone_and_neck_are_taken_and_the_classifier_starts_new(tmp_path, sources, kind, options, data):
    constant = dict(type='Constant', layer='Linear', val=0.125)
    started, log = before_first_step(
        tmp_path, load_from=str(sources[kind]), load_parts=('backbone', 'neck'),
        model__heads__id__init_cfg=constant, **options, **data)
    source = read_checkpoint(sources[kind])['state_dict']
    assert started.keys() == source.keys()
    for key, value in started.items():
        if key.startswith('heads.'):
            assert 'weight' not in key or value.dim() == 1 or (value == 0.125).all(), key
        else:
            assert torch.equal(value, source[key]), key
    rooms = {room: sum(key.startswith(room) for key in source) for room in ('backbone', 'neck', 'heads')}
    for room, count in rooms.items():
        assert f'{room} ({count} tensor' in log
    told = next(line for line in log.splitlines() if 'load_parts: took' in line)
    assert told.index('took backbone') < told.index(str(sources[kind])) < told.index('not taken: heads')


@pytest.mark.parametrize('parts, calls', [(('backbone', 'neck'), 0), ('backbone', 0), (('neck', ), 1),
                                          (('backbone.stage', 'neck'), 1), (None, 0)])
def test_what_is_not_loaded_is_initialised_and_only_that(tmp_path, sources, parts, calls):
    InitTaps.calls = 0
    taps = dict(model__backbone__type='InitTaps')
    started, _ = before_first_step(tmp_path, load_from=str(sources['ptl']), load_parts=parts, **taps)
    source = read_checkpoint(sources['ptl'])['state_dict']
    assert InitTaps.calls == calls
    taken = calls == 0
    assert (started['backbone.stem.0.weight'] == 0.25).all().item() is not taken
    assert torch.equal(started['backbone.stem.0.weight'], source['backbone.stem.0.weight']) is taken
    named = parts is None or 'neck' in parts
    assert torch.equal(started['neck.reduction.0.weight'], source['neck.reduction.0.weight']) is named
    if parts == ('backbone.stage', 'neck'):
        assert torch.equal(started['backbone.stage.0.weight'], source['backbone.stage.0.weight'])


def test_pretrained_weights_are_asked_for_only_where_they_stay(tmp_path, sources):
    """A backbone of the toolbox itself: ImageNet weights that do not exist."""
    model = dict(model__backbone=dict(_delete_=True, type='ResNetTaps', depth=18, out_indices=(5, )),
                 model__neck=dict(_delete_=True, type='ReductionNeck', in_channels=512, feat_channels=16))
    cfg = toy_config(tmp_path, **model)
    cfg.model.heads.id.num_classes = 3
    write_checkpoint(dict(state_dict=MODELS.build(cfg.model).state_dict()), tmp_path / 'source.pth')
    options = dict(model, load_from=str(tmp_path / 'source.pth'))
    options['model__backbone']['init_cfg'] = dict(type='Pretrained', checkpoint='/nowhere/resnet18.pth')
    started, _ = before_first_step(tmp_path / 'a', load_parts=('backbone', 'neck'), **options)
    assert torch.equal(started['backbone.conv1.weight'],
                       read_checkpoint(tmp_path / 'source.pth')['state_dict']['backbone.conv1.weight'])
    for parts in (('neck', ), ('backbone.layer1', 'neck')):
        with pytest.raises(FileNotFoundError, match='/nowhere/resnet18.pth'):
            toy_runner(tmp_path / 'b', load_parts=parts, **options).train()


def test_a_plain_backbone_goes_into_a_network_with_ptl(tmp_path, sources):
    started, log = before_first_step(tmp_path, load_from=str(sources['plain']), load_parts=['backbone'])
    source = read_checkpoint(sources['plain'])['state_dict']
    assert all(torch.equal(value, source[key]) for key, value in started.items() if key.startswith('backbone.'))
    assert 'not taken: neck' in log
    with pytest.raises(CheckpointError, match='(?s)backbone, neck of .* does not fit .*missing: neck.fusions.*shape: '
                                              'neck.reduction.0.weight is .*leave out the parts that differ'):
        toy_runner(tmp_path, load_from=str(sources['plain']), load_parts=['backbone', 'neck']).train()


def test_parts_that_are_not_there(tmp_path, sources):
    for parts, where in ((('backbone', 'nec'), 'this EmbeddingNet'), (('backbone', 'neck.cells'), r'\S*epoch_1.pth')):
        with pytest.raises(CheckpointError, match=f'names "{parts[1]}", and {where} has no weights under that name. It '
                                                  r'has: backbone \(9 tensors\), neck'):
            toy_runner(tmp_path, load_from=str(sources['plain']), load_parts=parts).train()
    for parts in ((), [''], 3 * [None]):
        with pytest.raises(ConfigError, match='must name parts of the network'):
            toy_runner(tmp_path, load_from=str(sources['ptl']), load_parts=parts).train()


def test_a_classifier_of_other_people_is_not_taken(tmp_path, sources):
    options = dict(OTHER_PEOPLE, load_from=str(sources['ptl']))
    with pytest.raises(CheckpointError, match='heads.id.classifier.weight of .*other people'):
        toy_runner(tmp_path, load_parts=('backbone', 'heads'), **options).train()
    started, _ = before_first_step(tmp_path, load_parts=('heads.id.hidden', ), **options)
    source = read_checkpoint(sources['ptl'])['state_dict']
    assert torch.equal(started['heads.id.hidden.0.weight'], source['heads.id.hidden.0.weight'])
    assert not torch.equal(started['backbone.stem.0.weight'], source['backbone.stem.0.weight'])
    whole, _ = before_first_step(tmp_path, load_parts=('backbone', 'neck', 'heads'), load_from=str(sources['ptl']))
    assert same(whole, source)


def test_testing_loads_everything(tmp_path, sources):
    results = []
    for parts in (None, ('backbone', )):
        cfg = toy_config(tmp_path, load_from=str(sources['ptl']), load_parts=parts)
        drop_training(cfg)
        results.append(RUNNERS.build(cfg).test())
        runner = toy_runner(tmp_path, load_from=str(sources['ptl']), load_parts=parts)  # with its training part
        assert runner.val() == runner.val() and runner.test()['market1501/mAP'] == results[0]['market1501/mAP']
    assert results[0]['market1501/mAP'] == results[1]['market1501/mAP']


@pytest.mark.parametrize('resume', ['auto', True])
def test_a_resumed_training_does_not_take_the_parts_again(tmp_path, sources, resume):
    options = dict(OTHER_NUMBER, load_from=str(sources['ptl']), load_parts=('backbone', 'neck'))
    toy_runner(tmp_path / 'whole', **options).train()
    with pytest.raises(Interrupted):
        toy_runner(tmp_path / 'parts', custom_hooks=[dict(type='InterruptHook', after=-1)], **options).train()
    InitTaps.calls = 0
    source = options['load_from'] if resume == 'auto' else str(tmp_path / 'parts' / 'epoch_1.pth')
    again = {**options, 'load_from': source, 'model__backbone__type': 'InitTaps'}
    resumed = toy_runner(tmp_path / 'parts', resume=resume, **again)
    resumed.train()
    assert InitTaps.calls == 0 and resumed.epoch == 2
    whole, parts = (read_checkpoint(tmp_path / name / 'epoch_2.pth') for name in ('whole', 'parts'))
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'train_state'):
        assert same(whole[part], parts[part]), part


def test_auto_resume_with_nothing_to_resume_takes_the_parts(tmp_path, sources):
    started, log = before_first_step(tmp_path, resume='auto', load_from=str(sources['ptl']), load_parts='backbone')
    assert 'Nothing to resume' in log and 'load_parts: took backbone (9 tensors)' in log
    source = read_checkpoint(sources['ptl'])['state_dict']
    assert torch.equal(started['backbone.stem.0.weight'], source['backbone.stem.0.weight'])
    assert not torch.equal(started['neck.reduction.0.weight'], source['neck.reduction.0.weight'])


def test_parts_without_a_file_are_remarked(tmp_path):
    _, log = before_first_step(tmp_path, load_parts=('backbone', ))
    assert 'has no effect without load_from' in log


def test_the_key_is_known_on_the_command_line(tmp_path):
    (tmp_path / 'c.py').write_text("load_from = 'x.pth'\n")
    assert load_config(str(tmp_path / 'c.py'), dict(load_parts=['backbone', 'neck'])).load_parts == ['backbone', 'neck']
    with pytest.raises(ConfigError, match='load_parts'):
        load_config(str(tmp_path / 'c.py'), dict(load_part='backbone'))


@HOOKS.register_module()
class FileWitness(Hook):
    """What a hook sees of a file that is loaded."""

    def after_load_checkpoint(self, runner, checkpoint):
        self.seen = set(checkpoint['state_dict'])


def test_hooks_see_no_more_of_the_file_than_the_model_gets(tmp_path, sources):
    runner = toy_runner(tmp_path, load_from=str(sources['ptl']), load_parts=('backbone', ),
                        custom_hooks=[dict(type='FileWitness')], train_cfg__max_epochs=1)
    runner.train()
    seen = next(hook for hook in runner.hooks if isinstance(hook, FileWitness)).seen
    assert seen == {key for key in runner.model.state_dict() if key.startswith('backbone.')}


@pytest.mark.parametrize('parts', [3, (), ('backbone', 1), 'backbone,neck', {'backbone': 1}], ids=repr)
def test_parts_that_are_no_names(tmp_path, sources, parts):
    cfg = toy_config(tmp_path, load_from=str(sources['ptl']))
    cfg.load_parts = parts
    with pytest.raises(ConfigError, match='load_parts must name parts'):
        RUNNERS.build(cfg).train()
