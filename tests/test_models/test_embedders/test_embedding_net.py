import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmreid.models import EmbeddingNet
from mmreid.models.layers import latent_state_dict
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample


def config(**changes):
    cfg = dict(
        type='EmbeddingNet',
        backbone=dict(type='ResNetTaps', depth=18, out_indices=(0, 1, 2)),
        neck=dict(
            type='PTLNeck',
            in_channels=(3, 64, 64),
            cell_channels=(4, 4),
            fusion_channels=(4, ),
            strides=(4, 1),
            feat_channels=8),
        heads=dict(
            id=dict(type='ClassificationHead', in_channels=8, num_classes=3, hidden_channels=(8, )),
            metric=dict(type='TripletHead')))
    return {**cfg, **changes}


def batch(size=4, labels=(0, 0, 1, 1)):
    samples = [ReIDDataSample(metainfo=dict(pid=n)).set_gt_label(labels[n]) for n in range(size)]
    return dict(
        inputs=[torch.randint(0, 256, (3, 32, 16), dtype=torch.uint8) for _ in range(size)], data_samples=samples)


def test_modes():
    model = MODELS.build(config())
    assert isinstance(model, EmbeddingNet)
    x = torch.randn(4, 3, 32, 16)
    assert model(x)['feat'].shape == (4, 8)
    losses = model(x, batch()['data_samples'], mode='loss')
    assert sorted(losses) == ['id.accuracy', 'id.loss_ce', 'metric.loss_triplet', 'metric.num_anchors']
    total, logged = model.parse_losses(losses)
    assert total.item() == pytest.approx((losses['id.loss_ce'] + losses['metric.loss_triplet']).item())
    assert 'id.accuracy' in logged
    with pytest.raises(ValueError, match="'tensor', 'loss' or 'predict'"):
        model(x, mode='train')


def test_train_step_learns_and_val_step_predicts():
    torch.manual_seed(0)
    model, data = MODELS.build(config()), batch()
    optim = OptimWrapper(torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05))
    first = model.train_step(data, optim)['loss']
    for _ in range(8):
        last = model.train_step(data, optim)['loss']
    assert last < first
    states = latent_state_dict(model)
    results = model.eval().val_step(data)
    assert all(latent_state_dict(model)[name] is state for name, state in states.items())
    assert [sample.pid for sample in results] == [0, 1, 2, 3]
    assert results[0].feature.shape == (8, ) and results[0].feature.dtype == torch.float32
    assert torch.equal(model.test_step(data)[2].feature, results[2].feature)


def test_features_do_not_depend_on_history_or_company():
    torch.manual_seed(0)
    model, x = MODELS.build(config()), torch.randn(5, 3, 32, 16)
    model(x)
    model.eval()
    fresh = model(x)['feat']
    for cell in model.neck.cells:
        cell.reset_state()
    assert torch.equal(model(x)['feat'], fresh)
    alone = torch.cat([model(row[None])['feat'] for row in x])
    torch.testing.assert_close(alone, fresh, rtol=0, atol=1e-6)


def test_predictions_are_float32_under_autocast():
    model = MODELS.build(config()).eval()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert model(torch.randn(2, 3, 32, 16))['feat'].dtype == torch.bfloat16
        assert model.predict(torch.randn(2, 3, 32, 16))[1].feature.dtype == torch.float32


def test_channels_last_changes_the_layout_only():
    torch.manual_seed(0)
    last, first = MODELS.build(config()), MODELS.build(config(channels_last=False))
    last.init_weights()
    first.load_state_dict(last.state_dict())
    last.load_state_dict(first.state_dict())
    for model, layout in ((last, torch.channels_last), (first, torch.contiguous_format)):
        convolutions = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
        assert all(weight.is_contiguous(memory_format=layout) for weight in convolutions)
    x = torch.randn(4, 3, 32, 16)
    seen = []
    last.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    for _ in range(2):  # the second batch meets a latent state
        torch.testing.assert_close(last(x)['feat'], first(x)['feat'], rtol=1e-4, atol=1e-5)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last.eval()(x)['feat'], first.eval()(x)['feat'], rtol=1e-4, atol=1e-5)


def test_init_cfg_reaches_every_part():
    cfg = config()
    constant = dict(type='Constant', layer=['Linear', 'Conv2d'], val=0.5)
    cfg['neck'] = dict(cfg['neck'], init_cfg=constant)
    cfg['heads']['id'] = dict(cfg['heads']['id'], init_cfg=constant)
    model = MODELS.build(cfg)
    model.init_weights()
    for part in (model.neck.cells[0].gates, model.neck.reduction[0], model.heads['id'].classifier):
        assert (part.weight == 0.5).all()
    assert not (model.backbone.conv1.weight == 0.5).any()


def test_a_backbone_of_another_package():
    backbone = dict(type='mmpretrain.ResNet', depth=18, out_indices=(3, ))
    model = MODELS.build(config(backbone=backbone, neck=dict(type='ReductionNeck', in_channels=512, feat_channels=8)))
    assert model(torch.randn(4, 3, 32, 32), batch()['data_samples'], mode='loss')['id.loss_ce'] > 0


def test_without_heads():
    model = MODELS.build(config(heads=None))
    assert len(model.predict(torch.randn(2, 3, 32, 16))) == 2
    with pytest.raises(ValueError, match='no heads'):
        model(torch.randn(2, 3, 32, 16), [], mode='loss')


def test_bad_configs():
    with pytest.raises(ValueError, match='needs a neck'):
        MODELS.build(config(neck=None))
    with pytest.raises(ValueError, match=r"\['id_loss'\]"):
        MODELS.build(config(heads=dict(id_loss=dict(type='TripletHead'))))
    with pytest.raises(KeyError, match="feature_key='f'.*feat"):
        MODELS.build(config(feature_key='f')).predict(torch.randn(2, 3, 32, 16))
    with pytest.raises(KeyError, match='PTLNeck'):
        MODELS.build(config(neck=dict(type='PTLNek')))


def test_prediction_asks_the_neck_for_the_feature_alone():
    """Small test images, and no auxiliary branch that runs; frozen in evaluation mode, its heads are still trained."""
    aux = dict(type='ClassificationHead', in_channels=8, num_classes=2)
    net = MODELS.build(dict(
        type='EmbeddingNet', backbone=dict(type='ResNetTaps', depth=18, out_indices=(3, 4, 5)),
        neck=dict(type='DTLNeck', in_channels=(128, 256, 512), aux_cfg=dict(feat_channels=8, mid_channels=4)),
        heads=dict(id=dict(aux, in_channels=512), id_aux1=dict(aux, in_key='aux1')))).eval()
    ran = []
    net.neck.auxiliary['aux1'].register_forward_hook(lambda *_: ran.append('aux1'))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        feats = net.extract_feats(images)
        assert set(feats) == set(net(images, mode='tensor')) == {'feat', 'aux1', 'aux2'} and len(ran) == 2
        found = torch.stack([sample.feature for sample in net.predict(images)])
        assert torch.equal(found, feats['feat']) and torch.equal(net.extract_feature(images), feats['feat'])
        assert len(net.predict(torch.randn(2, 3, 32, 16))) == 2 and len(ran) == 2
        net.feature_key = 'aux1'
        assert torch.equal(net.extract_feature(images), feats['aux1'])
    samples = [ReIDDataSample().set_gt_label(label) for label in (0, 1)]
    assert {key for key in net.loss(images, samples) if 'loss' in key} == {'id.loss_ce', 'id_aux1.loss_ce'}
