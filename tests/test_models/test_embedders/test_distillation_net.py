"""Student-teacher distillation: Eq. (4) by hand, a teacher that never changes, and everything that may be wrong."""

import copy
import datetime

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage, MMDistributedDataParallel
from mmengine.optim import OptimWrapper

from mmreid.models import EmbeddingNet, latent_state_dict
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample
from mmreid.utils.checkpoint import CheckpointError, write_checkpoint
from mmreid.utils.config import ConfigError
from mmreid.utils.distributed import close_process_group

LABELS = (0, 0, 1, 2)


def backbone(*taps):
    return dict(type='ResNetTaps', depth=18, out_indices=taps)


def teacher_config(feat=8, **changes):
    neck = dict(type='PTLNeck', in_channels=(3, 64, 64), cell_channels=(4, 4), fusion_channels=(4, ), strides=(4, 1),
                feat_channels=feat)
    heads = dict(id=dict(type='ClassificationHead', in_channels=feat, num_classes=5))
    return {**dict(type='EmbeddingNet', backbone=backbone(0, 1, 2), neck=neck, heads=heads), **changes}


def plain_config(feat=8, **changes):
    heads = dict(id=dict(type='ClassificationHead', in_channels=feat, num_classes=3, hidden_channels=(8, )),
                 metric=dict(type='TripletHead'))
    neck = dict(type='ReductionNeck', in_channels=128, feat_channels=feat, reduction_cfg=dict(bias=False))
    return {**dict(type='EmbeddingNet', backbone=backbone(3), neck=neck, heads=heads), **changes}


def student_config(checkpoint, lambda_l1=0.8, reduction='mean', **changes):
    teacher = checkpoint if isinstance(checkpoint, dict) else dict(checkpoint=str(checkpoint))
    changes = {**dict(type='DistillationNet', teacher=teacher, lambda_l1=lambda_l1, reduction=reduction), **changes}
    return plain_config(**changes)


def write_teacher(path, config=None, text=None, state_dict=None):
    """A checkpoint as a runner writes it: weights and the text of the config."""
    torch.manual_seed(7)
    config = config or teacher_config()
    model = MODELS.build(config)
    with torch.no_grad():  # statistics that are not those of a new network
        for name, buffer in model.named_buffers():
            if name.endswith('running_mean'):
                buffer.normal_(std=0.1)
    text = Config(dict(model=config)).pretty_text if text is None else text
    write_checkpoint(dict(meta=dict(cfg=text), state_dict=state_dict or model.state_dict()), path)
    return model


@pytest.fixture
def teacher(tmp_path):
    write_teacher(tmp_path / 'teacher.pth')
    return tmp_path / 'teacher.pth'


def batch(labels=LABELS, size=(64, 32), seed=0):
    generator = torch.Generator().manual_seed(seed)
    samples = [ReIDDataSample().set_gt_label(label) for label in labels]
    return dict(inputs=[torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8) for _ in labels],
                data_samples=samples)


def bits(network):
    """Every parameter and buffer, also those that no state dict holds."""
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: value.detach().clone() for name, value in tensors.items()}


@pytest.mark.parametrize('reduction', ['mean', 'sum', 'batchmean'])
@pytest.mark.parametrize('lambda_l1', [0.3, 0.8, 1.0])
def test_equation_4_by_hand(tmp_path, lambda_l1, reduction):
    theirs = write_teacher(tmp_path / 't.pth').eval()
    heads = {'id': plain_config()['heads']['id']}
    model = MODELS.build(student_config(tmp_path / 't.pth', lambda_l1, reduction, heads=heads))
    data = model.data_preprocessor(batch())
    plain = MODELS.build(plain_config(heads=heads))
    plain.load_state_dict(model.state_dict())
    losses = model(**data, mode='loss')
    total, logged = model.parse_losses(losses)

    with torch.no_grad():
        v = plain(data['inputs'])['feat']
        logits = plain.heads['id'](v).double().numpy()
        v, target = v.double().numpy(), theirs(data['inputs'])['feat'].double().numpy()
    exponentials = np.exp(logits)
    cross_entropy = -np.mean([np.log(row[label] / row.sum()) for row, label in zip(exponentials, LABELS)])
    distance = 0.0
    for row, other in zip(v, target):
        for a, b in zip(row, other):
            distance += abs(a - b)
    distance /= dict(mean=v.size, sum=1, batchmean=len(v))[reduction]
    assert distance > 0.1
    assert total.item() == pytest.approx((1 - lambda_l1) * cross_entropy + lambda_l1 * distance, rel=1e-5)
    assert sorted(losses) == ['id.accuracy', 'id.loss_ce', 'std.l1', 'std.loss_l1']
    assert logged['std.l1'].item() == pytest.approx(distance, rel=1e-5)
    assert logged['std.loss_l1'].item() == pytest.approx(lambda_l1 * distance, rel=1e-5)


def test_every_loss_of_the_heads_is_scaled(teacher):
    model = MODELS.build(student_config(teacher, 0.75))
    plain = MODELS.build(plain_config())
    plain.load_state_dict(model.state_dict())
    data = model.data_preprocessor(batch())
    ours, theirs = model(**data, mode='loss'), plain(**data, mode='loss')
    assert set(ours) - set(theirs) == {'std.l1', 'std.loss_l1'}
    for key, value in theirs.items():
        assert ours[key] == (0.25 * value if 'loss' in key else value), key


def test_teacher_is_bit_unchanged_after_20_steps(teacher):
    model = MODELS.build(student_config(teacher)).train()
    model.prepare_training()
    network = model.teacher.network
    before, student = bits(network), bits(model)
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1))
    features = network(model.data_preprocessor(batch())['inputs'])['feat']
    for step in range(20):
        model.train()
        model.train_step(batch(seed=step), optim)
    assert model.teacher.network is network
    after = bits(network)
    assert before.keys() == after.keys() and len(before) > 20
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(module.training for module in network.modules())
    assert latent_state_dict(network) == {} and all(p.dtype == torch.float32 for p in network.parameters())
    assert torch.equal(network(model.data_preprocessor(batch())['inputs'])['feat'], features)
    moved = bits(model)
    assert all(not torch.equal(student[name], moved[name]) for name, p in model.named_parameters() if p.requires_grad)


def test_student_comes_nearer_to_its_teacher(teacher):
    torch.manual_seed(0)
    model = MODELS.build(student_config(teacher, 1.0)).train()
    optim = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-3))
    distances = [model.train_step(batch(), optim)['std.l1'].item() for _ in range(15)]
    assert distances[-1] < 0.6 * distances[0]


def test_gradient_reaches_the_student_only(teacher):
    model = MODELS.build(student_config(teacher)).train()
    losses = model(**model.data_preprocessor(batch()), mode='loss')
    model.parse_losses(losses)[0].backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and not p.grad.abs().max() > 0]
    assert not without
    assert all(p.grad is None and not p.requires_grad for p in model.teacher.network.parameters())
    assert not losses['std.l1'].requires_grad


def test_checkpoint_of_the_student_is_that_of_a_plain_network(teacher):
    model, plain = MODELS.build(student_config(teacher)), MODELS.build(plain_config())
    model.prepare_training()
    assert list(model.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(model.state_dict())
    model.load_state_dict(plain.state_dict())
    assert len(list(model.parameters())) == len(list(plain.parameters()))
    assert len(list(model.modules())) == len(list(plain.modules())) and len(list(model.buffers())) == len(
        list(plain.buffers()))
    x = torch.randn(2, 3, 64, 32)
    assert torch.equal(model.eval()(x)['feat'], plain.eval()(x)['feat'])


def test_copies_know_no_teacher(teacher):
    model = MODELS.build(student_config(teacher))
    model.prepare_training()
    averaged = ExponentialMovingAverage(model)
    assert averaged.module.teacher.network is None and model.teacher.network is not None
    averaged.update_parameters(model)
    assert copy.deepcopy(model).teacher.checkpoint == str(teacher)


def test_teacher_is_not_read_for_building_and_testing(tmp_path):
    model = MODELS.build(student_config(tmp_path / 'absent.pth')).eval()
    assert model.val_step(batch())[0].feature.shape == (8, ) and model.test_step(batch())
    assert model(torch.randn(2, 3, 64, 32))['feat'].shape == (2, 8)
    model.train()
    with pytest.raises(CheckpointError, match='absent.pth does not exist'):
        model(**model.data_preprocessor(batch()), mode='loss')
    with pytest.raises(CheckpointError, match='absent.pth does not exist'):
        model.prepare_training()


def test_lambda_zero_needs_no_teacher():
    torch.manual_seed(0)
    model = MODELS.build(student_config(dict(checkpoint=None), 0.0))
    torch.manual_seed(0)
    plain = MODELS.build(plain_config())
    data = model.data_preprocessor(batch())
    model.prepare_training()
    ours, theirs = model(**data, mode='loss'), plain(**data, mode='loss')
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_teacher_follows_to_a_device_and_keeps_its_type(teacher):
    model = MODELS.build(student_config(teacher))
    model.prepare_training()
    model.double()
    assert model.neck.reduction[0].weight.dtype == torch.float64
    assert {p.dtype for p in model.teacher.network.parameters()} == {torch.float32}
    model.to('meta')  # from where no value comes back: the teacher is read again
    assert model.teacher.network is None
    model.to_empty(device='cpu')
    assert str(model.teacher.load('cpu').neck.reduction[0].weight.device) == 'cpu'


def test_student_and_teacher_in_double_precision_student(teacher):
    model = MODELS.build(student_config(teacher)).double()
    data = model.data_preprocessor(batch())
    losses = model(data['inputs'].double(), data['data_samples'], mode='loss')
    assert losses['std.loss_l1'].dtype == torch.float64 and losses['std.l1'] > 0


@pytest.mark.parametrize('ours, theirs', [(True, False), (False, True)])
def test_memory_formats_may_differ(tmp_path, ours, theirs):
    write_teacher(tmp_path / 't.pth', teacher_config(channels_last=theirs))
    model = MODELS.build(student_config(tmp_path / 't.pth', channels_last=ours))
    same = MODELS.build(student_config(tmp_path / 't.pth', channels_last=theirs))
    same.load_state_dict(model.state_dict())
    data = model.data_preprocessor(batch())
    torch.testing.assert_close(model(**data, mode='loss')['std.l1'], same(**data, mode='loss')['std.l1'])


def test_bfloat16_autocast(teacher):
    model = MODELS.build(student_config(teacher))
    data = model.data_preprocessor(batch())
    full = model(**data, mode='loss')['std.l1']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(**data, mode='loss')
    assert losses['std.loss_l1'].dtype == torch.float32
    assert losses['std.l1'].item() == pytest.approx(full.item(), rel=0.05)
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert {p.dtype for p in model.teacher.network.parameters()} == {torch.float32}


def test_reading_a_teacher_draws_no_random_number(teacher):
    model = MODELS.build(student_config(teacher))
    state = torch.get_rng_state()
    model.prepare_training()
    assert torch.equal(torch.get_rng_state(), state)


def test_teacher_of_a_file_without_config(tmp_path, teacher):
    expected = torch.load(teacher, weights_only=True)['state_dict']
    torch.save(expected, tmp_path / 'bare.pth')
    with pytest.raises(ConfigError, match='does not say which network.*model.teacher.config=CONFIG.py'):
        MODELS.build(student_config(tmp_path / 'bare.pth')).prepare_training()
    (tmp_path / 'config.py').write_text(f'model = {teacher_config()!r}\n')
    for source in (dict(config=str(tmp_path / 'config.py')), dict(model=teacher_config())):
        model = MODELS.build(student_config(dict(checkpoint=str(tmp_path / 'bare.pth'), **source)))
        model.prepare_training()
        loaded = model.teacher.network.state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in loaded.items())
        assert not any(key.startswith('heads.') for key in loaded)
    with pytest.raises(ConfigError, match='not both'):
        MODELS.build(student_config(dict(checkpoint='x.pth', config='x.py', model=teacher_config())))


def test_a_student_can_teach(tmp_path, teacher):
    """Its checkpoint names its own teacher, which is not needed any more."""
    config = student_config(tmp_path / 'gone.pth')
    student = MODELS.build(config)
    write_checkpoint(dict(meta=dict(cfg=Config(dict(model=config)).pretty_text), state_dict=student.state_dict()),
                     tmp_path / 's.pth')
    model = MODELS.build(student_config(tmp_path / 's.pth'))
    model.prepare_training()
    assert type(model.teacher.network) is EmbeddingNet
    x = torch.randn(2, 3, 64, 32)
    assert torch.equal(model.teacher.features(x), student.eval()(x)['feat'])


def test_weights_of_the_backbone_are_not_downloaded_for_a_teacher(tmp_path):
    pretrained = dict(type='Pretrained', checkpoint='torchvision://no_such_network')
    write_teacher(tmp_path / 't.pth', teacher_config(backbone=dict(backbone(0, 1, 2), init_cfg=pretrained)))
    MODELS.build(student_config(tmp_path / 't.pth')).prepare_training()


@pytest.mark.parametrize('text, reason', [
    ("model = __import__('os').system('touch FILE')", 'more than plain values'),
    ("model = dict(type='EmbeddingNet', backbone=dict(type='os.system', command='touch FILE'), neck=dict())",
     "'os.system' is not a component"),
    ("model = dict(type='subprocess.check_output', args=['touch', 'FILE'])", "'subprocess.check_output' is not"),
    ("model = dict(type='EmbeddingNet', _scope_='builtins', backbone=dict(type='eval'))", 'scope'),
    ("import os\nos.system('touch FILE')\nmodel = dict(type='NoSuchNet')", "'NoSuchNet' is not a component"),
    ("model = dict(**open('FILE', 'w'))", 'more than plain values'),
    ("model = 'EmbeddingNet'", 'expected a dict'), ('model = dict(neck=dict())', 'has no type'),
    ("model = dict(type='EmbeddingNet', neck=dict(parts=[dict(type='os.system', command='touch FILE')]))",
     "'os.system' is not"),
    ("model = dict(type='EmbeddingNet', backbone=dict(type='ResNetTaps', depth=18), neck=(dict(type='os.system'), ))",
     "'os.system' is not"),
    ('x = 1', 'no entry "model"'),
    ('model = (', 'could not be parsed'),
])
def test_config_of_a_strangers_checkpoint_runs_nothing(tmp_path, text, reason):
    write_teacher(tmp_path / 't.pth', text=text.replace('FILE', str(tmp_path / 'touched')))
    with pytest.raises(ConfigError, match=f'(?s)without running it.*{reason}.*If you trust the file'):
        MODELS.build(student_config(tmp_path / 't.pth')).prepare_training()
    assert not (tmp_path / 'touched').exists()


def test_what_does_not_go_together_is_refused(tmp_path, teacher):
    with pytest.raises(ConfigError, match='--cfg-options model.teacher.checkpoint=FILE'):
        MODELS.build(student_config(dict(checkpoint=None))).prepare_training()
    with pytest.raises(ConfigError, match='--cfg-options model.teacher.checkpoint=FILE'):
        MODELS.build(student_config(None, teacher=None)).prepare_training()
    model = MODELS.build(student_config(teacher, feat=6))
    with pytest.raises(ValueError, match=r'student has 6 numbers and that of the teacher \S*teacher.pth has 8'):
        model(**model.data_preprocessor(batch()), mode='loss')
    other = dict(type='ReIDDataPreprocessor', mean=[127.5] * 3, bgr_to_rgb=False)
    model = MODELS.build(student_config(teacher, data_preprocessor=other))
    for _ in range(2):  # it stays refused
        with pytest.raises(ValueError, match=r"(?s)'mean': \[127.5.*'bgr_to_rgb': False.*student.*123.67.*teacher.pth"):
            model.prepare_training()
    with pytest.raises(CheckpointError, match='(?s)does not fit its network.*shape: neck.reduction.0.weight is '
                                              r'\(6, 68\) here, \(8, 68\) in the file'):
        MODELS.build(student_config(dict(checkpoint=str(teacher), model=teacher_config(6)))).prepare_training()
    with pytest.raises(CheckpointError, match='(?s)does not fit its network.*left over: neck.fusions'):
        MODELS.build(student_config(dict(checkpoint=str(teacher), model=plain_config()))).prepare_training()
    with pytest.raises(ConfigError, match='must be an EmbeddingNet, got a ReLU'):
        MODELS.build(student_config(dict(checkpoint=str(teacher), model=dict(type='ReLU')))).prepare_training()


@pytest.mark.parametrize('changes, reason', [
    (dict(lambda_l1=1.1), 'between 0 .* and 1 .*got 1.1'), (dict(lambda_l1=-0.1), 'got -0.1'),
    (dict(lambda_l1=float('nan')), 'got nan'), (dict(reduction='none'), "'mean', 'sum', 'batchmean'.*'none'"),
    (dict(teacher=dict(chekpoint='x')), r"\['chekpoint'\]"), (dict(teacher='x.pth'), 'model.teacher.checkpoint=FILE'),
    (dict(lambda_l1='0.8'), "got '0.8'"), (dict(lambda_l1=True), 'got True'),
    (dict(heads=dict(std=dict(type='TripletHead'))), '"std"'),
])
def test_bad_arguments(changes, reason):
    with pytest.raises(ValueError, match=reason):
        MODELS.build(student_config('x.pth', **changes))


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2,
                            timeout=datetime.timedelta(seconds=120))
    torch.manual_seed(0)
    model = MODELS.build(student_config(f'{folder}/teacher.pth'))
    wrapped = MMDistributedDataParallel(model.train())
    optim = OptimWrapper(torch.optim.SGD(wrapped.parameters(), lr=0.05))
    for step in range(2):
        wrapped.train_step(batch(seed=10 * step + rank), optim)
    torch.save(dict(student=dict(model.named_parameters()), teacher=bits(model.teacher.network)),
               f'{folder}/{rank}.pt')
    close_process_group()


def test_two_processes(tmp_path, teacher):
    mp.start_processes(work, args=(str(tmp_path), ), nprocs=2, start_method='spawn')
    zero, one = (torch.load(tmp_path / f'{rank}.pt') for rank in range(2))
    own = torch.load(teacher, weights_only=True)['state_dict']
    for part in ('student', 'teacher'):
        assert zero[part].keys() == one[part].keys()
        assert all(torch.equal(value, one[part][name]) for name, value in zero[part].items())
    assert all(torch.equal(value, zero['teacher'][name]) for name, value in own.items() if name in zero['teacher'])


@pytest.mark.parametrize('checkpoint, reason', [
    (dict(state_dict=[1]), 'has no weights'), (dict(state_dict={}), 'has no weights'),
    (dict(state_dict={'a': 1}), 'has no weights'), (dict(meta=[1], state_dict={'a': torch.zeros(1)}), 'does not say'),
    (dict(meta=dict(cfg="model = dict(type='EmbeddingNet', gone=1)"), state_dict={'a': torch.zeros(1)}),
     'teacher .* could not be built .TypeError'),
])
def test_a_damaged_teacher_is_called_the_teacher(tmp_path, checkpoint, reason):
    write_checkpoint(checkpoint, tmp_path / 'teacher.pth')
    model = MODELS.build(student_config(tmp_path / 'teacher.pth'))
    with pytest.raises((ConfigError, CheckpointError), match=reason):
        model.prepare_training()


def test_measuring_features_leaves_the_student_alone(teacher):
    model = MODELS.build(student_config(teacher))
    model.backbone.layer1.eval()
    before, modes = bits(model), [module.training for module in model.modules()]
    model.prepare_training()
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in bits(model).items())
