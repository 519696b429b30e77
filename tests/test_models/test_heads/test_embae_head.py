"""The autoencoder of EmbAE against loops over samples."""

import copy
import datetime

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mmreid.models.heads import EmbAEHead
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample
from mmreid.utils.distributed import close_process_group

PER_CAMERA = ('d0_c0', 'd0_c2', 'd1_c0', 'd1_c1')
#: Camera (0, 2) has one image, (1, 1) none, the others are mixed.
PLACES = [(0, 0), (1, 0), (0, 2), (0, 0), (1, 0), (0, 0), (1, 0)]


def samples(places):
    return [ReIDDataSample(metainfo=dict(domain=d, camid=c, img_path=f'{n}.jpg')) for n, (d, c) in enumerate(places)]


def head(nuisance='per_camera', encoders=PER_CAMERA, **options):
    torch.manual_seed(0)
    made = EmbAEHead(5, 3, 4, 6, nuisance, encoders, **options)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return made


def batch(number=7):
    generator = torch.Generator().manual_seed(1)
    return dict(feat=torch.randn(number, 3, generator=generator), pooled=torch.randn(number, 5, generator=generator))


def key_of(made, domain, camid):
    return {'shared': 'shared', 'per_dataset': f'd{domain}', 'per_camera': f'd{domain}_c{camid}'}[made.kind]


def loop(made, feats, places, training):
    """Codes and reconstructions one sample at a time, and the running statistics after it."""
    keys = [key_of(made, *place) for place in places]
    codes, outputs, running = [], [], {}
    for row, key in enumerate(keys):
        encoder = made.nuisance[key]
        hidden = [(encoder.hidden.weight @ feats['pooled'][other] + encoder.hidden.bias).clamp(min=0)
                  for other in range(len(keys)) if keys[other] == key]
        own = (encoder.hidden.weight @ feats['pooled'][row] + encoder.hidden.bias).clamp(min=0)
        mean, var = encoder.norm.running_mean.clone(), encoder.norm.running_var.clone()
        if training and len(hidden) > 1:
            stack = torch.stack(hidden)
            running[key] = (0.9 * mean + 0.1 * stack.mean(0), 0.9 * var + 0.1 * stack.var(0))
            mean, var = stack.mean(0), stack.var(0, correction=0)
        own = (own - mean) / (var + 1e-5).sqrt() * encoder.norm.weight + encoder.norm.bias
        code = encoder.code.weight @ own + encoder.code.bias
        first, _, last = made.decoder
        middle = (first.weight @ torch.cat([feats['feat'][row], code]) + first.bias).clamp(min=0)
        codes.append(code)
        outputs.append(last.weight @ middle + last.bias)
    return torch.stack(codes), torch.stack(outputs), running


KINDS = [('shared', None), ('per_dataset', ('d0', 'd1')), ('per_camera', PER_CAMERA)]


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('nuisance, encoders', KINDS)
def test_routing_and_loss_by_a_loop(nuisance, encoders, training):
    made, feats = head(nuisance, encoders, loss_weight=0.7).train(training), batch()
    codes, outputs, running = loop(made, feats, PLACES, training)
    before = copy.deepcopy(made)
    losses = made.loss(feats, samples(PLACES))
    error = sum(float((outputs[row] - feats['pooled'][row]).square().sum()) for row in range(len(PLACES)))
    mean = sum(feats['pooled']) / len(PLACES)
    spread = sum(float((row - mean).square().sum()) for row in feats['pooled'])
    assert losses['loss_ae'].item() == pytest.approx(0.7 * error / (len(PLACES) * 5), rel=1e-5)
    assert losses['relative_error'].item() == pytest.approx(error / spread, rel=1e-5)
    assert [name for name in losses if 'loss' in name] == ['loss_ae']
    torch.testing.assert_close(before.encode(feats['pooled'], before.keys_of(samples(PLACES))), codes)
    for key, encoder in made.nuisance.items():
        old = before.nuisance[key].norm if key not in running else None
        expected = running.get(key) or (head(nuisance, encoders).nuisance[key].norm.running_mean,
                                        head(nuisance, encoders).nuisance[key].norm.running_var)
        torch.testing.assert_close((encoder.norm.running_mean, encoder.norm.running_var), expected)
        assert key not in running or training and old is None


def test_every_order_of_the_rows_gives_the_same():
    made, feats = head().eval(), batch()
    keys = made.keys_of(samples(PLACES))
    straight = made(feats['feat'], feats['pooled'], keys)
    order = torch.tensor([6, 2, 0, 5, 1, 4, 3])
    turned = made(feats['feat'][order], feats['pooled'][order], [keys[n] for n in order.tolist()])
    torch.testing.assert_close(turned, straight[order])


def test_each_encoder_gets_its_gradient_from_its_camera_alone():
    made, feats = head().train(), batch()
    made.loss(feats, samples(PLACES))['loss_ae'].backward()
    assert all(p.grad is None for p in made.nuisance['d1_c1'].parameters()), 'absent from the batch'
    assert all(p.grad is not None for p in made.decoder.parameters())
    for key in PER_CAMERA[:3]:
        found = [p.grad.clone() for p in made.nuisance[key].parameters()]
        assert all(gradient.abs().sum() > 0 for gradient in found)
        # Only the squared errors of its own images, of the same batch.
        alone = head().train()
        keys = alone.keys_of(samples(PLACES))
        own = torch.tensor([k == key for k in keys])
        outputs = alone(feats['feat'], feats['pooled'], keys)
        ((outputs - feats['pooled'])[own].square().sum() / feats['pooled'].numel()).backward()
        torch.testing.assert_close(found, [p.grad for p in alone.nuisance[key].parameters()])


def test_a_step_changes_the_encoders_that_had_images():
    made, feats = head().train(), batch()
    before = copy.deepcopy(made.state_dict())
    optimizer = torch.optim.Adam(made.parameters(), lr=0.1)
    made.loss(feats, samples(PLACES))['loss_ae'].backward()
    optimizer.step()
    changed = {key for key, value in made.state_dict().items() if not torch.equal(value, before[key])}
    assert not any('d1_c1' in key for key in changed)
    statistics = {key for key in before if 'running' in key or 'num_batches' in key}
    assert {key for key in changed & statistics} == {key for key in statistics if 'd0_c0' in key or 'd1_c0' in key}
    parameters = {key for key in before if key not in statistics and 'd1_c1' not in key}
    assert parameters <= changed


@pytest.mark.parametrize('detach', [True, False])
def test_the_target_is_a_constant_unless_it_is_asked_for(detach):
    made, feats = head(detach_target=detach).eval(), batch()
    feats['pooled'].requires_grad_()
    feats['feat'].requires_grad_()
    made.loss(feats, samples(PLACES))['loss_ae'].backward()
    pooled = feats['pooled'].detach().requires_grad_()
    outputs = made(feats['feat'].detach(), pooled, made.keys_of(samples(PLACES)))
    target = pooled.detach() if detach else pooled
    (outputs - target).square().mean().backward()
    torch.testing.assert_close(feats['pooled'].grad, pooled.grad)
    assert feats['feat'].grad.abs().sum() > 0


@pytest.mark.parametrize('detach, keeps', [(True, True), (False, False)])
def test_through_the_target_a_trained_backbone_forgets_what_it_saw(detach, keeps):
    torch.manual_seed(0)
    backbone, made = nn.Linear(12, 12), EmbAEHead(12, 2, 2, 32, detach_target=detach).train()
    optimizer, images = torch.optim.Adam([*backbone.parameters(), *made.parameters()], lr=3e-3), torch.randn(64, 12)
    before = backbone(images).var(0).mean().item()
    for _ in range(200):
        pooled = backbone(images)
        losses = made.loss(dict(feat=pooled[:, :2].detach(), pooled=pooled), samples([(0, 0)] * 64))
        optimizer.zero_grad()
        losses['loss_ae'].backward()
        optimizer.step()
    assert (backbone(images).var(0).mean().item() > 0.5 * before) is keeps


def test_it_learns_to_reconstruct():
    torch.manual_seed(0)
    made = EmbAEHead(12, 2, 6, 64, 'per_dataset', ('d0', 'd1')).train()
    basis = torch.randn(2, 4, 12)
    optimizer = torch.optim.Adam(made.parameters(), lr=3e-3)
    errors = []
    for _ in range(200):
        domains = torch.arange(32) % 2
        hidden = torch.randn(32, 4)
        feats = dict(feat=hidden[:, :2], pooled=torch.einsum('nk,nkc->nc', hidden, basis[domains]))
        losses = made.loss(feats, samples([(int(d), 0) for d in domains]))
        optimizer.zero_grad()
        losses['loss_ae'].backward()
        optimizer.step()
        errors.append(losses['relative_error'].item())
    assert errors[0] > 0.9 and errors[-1] < 0.2


def test_initial_decoder_does_not_depend_on_the_number_of_encoders():
    torch.manual_seed(0)
    first = EmbAEHead(5, 3, 4, 6, 'per_dataset', ('d0', ))
    torch.manual_seed(0)
    other = EmbAEHead(5, 3, 4, 6, 'per_camera', PER_CAMERA)
    assert all(torch.equal(a, b) for a, b in zip(first.decoder.parameters(), other.decoder.parameters(), strict=True))
    weights = [encoder.hidden.weight for encoder in other.nuisance.values()]
    assert not any(torch.equal(weights[0], weight) for weight in weights[1:])


def test_sizes_of_the_paper():
    made = EmbAEHead()
    assert [tuple(m.weight.shape) for m in made.decoder if isinstance(m, nn.Linear)] == [(1024, 256), (1024, 1024)]
    assert list(made.nuisance) == ['shared'] and made.nuisance['shared'].code.out_features == 128


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float64])
def test_other_types(dtype):
    made, feats = head().to(dtype).eval(), {key: value.to(dtype) for key, value in batch().items()}
    loss = made.loss(feats, samples(PLACES))['loss_ae']
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert loss.item() == pytest.approx(head().eval().loss(batch(), samples(PLACES))['loss_ae'].item(), rel=0.05)


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('nuisance, encoders', KINDS)
def test_a_batch_of_one_image(nuisance, encoders):
    made, feats = head(nuisance, encoders), batch(1)
    with pytest.raises(ValueError, match='at least two images.*drop_last=True.*or use a larger batch\\.$'):
        made.train().loss(feats, samples([(0, 0)]))
    assert torch.isfinite(made.eval().loss(feats, samples([(0, 0)]))['loss_ae'])


@pytest.mark.parametrize('arguments, message', [
    (dict(nuisance='each'), "one of .'shared', 'per_dataset', 'per_camera'.*'each'"),
    (dict(nuisance='per_camera', encoders=('d0', )), "like .'d0_c1', 'd0_c2'"),
    (dict(nuisance='per_dataset', encoders=('d0', 'd0')), 'different keys'),
    (dict(nuisance='per_dataset', encoders=()), 'different keys'),
    (dict(nuisance='per_dataset', encoders='d0'), "got 'd0'"),
    (dict(nuisance='shared', encoders=('d0', )), "like .'shared', ."),
    (dict(id_channels=0), 'id_channels of EmbAEHead must be positive'),
    (dict(nuisance_channels=0), 'out_channels of DenseEncoder must be positive'),
])
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        EmbAEHead(**arguments)


def test_images_without_an_encoder():
    made, feats = head(), batch(2)
    with pytest.raises(ValueError, match="no nuisance encoder 'd1_c7' for 1.jpg; there are d0_c0, .*encoders=None"):
        made.loss(feats, samples([(0, 0), (1, 7)]))
    with pytest.raises(ValueError, match="no camid on the sample of b.jpg.*PackReIDInputs.*nuisance='shared'"):
        made.loss(feats, [*samples([(0, 0)]), ReIDDataSample(metainfo=dict(img_path='b.jpg', domain=0))])
    with pytest.raises(ValueError, match="no domain on the sample of an unnamed image.*'per_dataset'"):
        head('per_dataset', ('d0', )).loss(feats, [ReIDDataSample(), ReIDDataSample()])
    with pytest.raises(ValueError, match='got none'):
        made.loss(feats, None)
    with pytest.raises(ValueError, match='2 images and 3 data_samples'):
        made.loss(feats, samples(PLACES[:3]))


def test_shared_reads_neither_domain_nor_camera():
    made, feats = head('shared', None).eval(), batch(2)
    bare = made.loss(feats, [ReIDDataSample(), ReIDDataSample()])['loss_ae']
    assert torch.equal(bare, made.loss(feats, samples([(3, 4), (5, 6)]))['loss_ae'])


def test_a_head_that_was_not_told_its_encoders_can_be_looked_at_and_not_trained():
    made = EmbAEHead(5, 3, 4, 6, 'per_camera')
    assert len(made.nuisance) == 1
    with pytest.raises(ValueError, match="nuisance='per_camera' has not been told.*encoders=None"):
        made.loss(batch(), samples(PLACES))


def test_embeddings_that_do_not_fit():
    made, feats = head(), batch()
    with pytest.raises(KeyError, match="target_key='pooled'.*EmbAENeck"):
        made.loss(dict(feat=feats['feat']), samples(PLACES))
    with pytest.raises(ValueError, match="id_channels=3, and 'feat' of the neck has 4"):
        made.loss(dict(feats, feat=torch.zeros(7, 4)), samples(PLACES))
    with pytest.raises(ValueError, match="in_channels=5, and 'pooled' of the neck has 6"):
        made.loss(dict(feats, pooled=torch.zeros(7, 6)), samples(PLACES))


def test_shared_statistics_across_processes_are_refused():
    made = nn.SyncBatchNorm.convert_sync_batchnorm(head())
    with pytest.raises(ValueError, match='sync_bn is not for several'):
        made.loss(batch(), samples(PLACES))


# ---- two processes --------------------------------------------------------------------------------------------------

#: Cameras by process and step; (0, 2) is never seen by both, (1, 1) by neither in step 0.
SEEN = [[[(0, 0), (0, 0), (0, 2), (0, 2)], [(1, 0), (1, 0), (1, 1), (1, 1)]],
        [[(0, 0), (0, 0), (1, 0), (1, 0)], [(0, 0), (0, 0), (1, 0), (1, 0)]]]


def network():
    torch.manual_seed(0)
    return MODELS.build(dict(
        type='EmbeddingNet', backbone=dict(type='MobileNetV1', width_multiplier=1 / 32, norm_eval=True),
        neck=dict(type='EmbAENeck', in_channels=32, hidden_channels=6, feat_channels=3),
        heads=dict(ae=dict(type='EmbAEHead', in_channels=32, id_channels=3, nuisance_channels=4, hidden_channels=6,
                           nuisance='per_camera', encoders=PER_CAMERA))))


def images(rank, step):
    return torch.randint(0, 255, (4, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(
        10 * step + rank))


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2,
                            timeout=datetime.timedelta(seconds=100))
    model = network().train()
    wrapped = MMDistributedDataParallel(model, broadcast_buffers=False)  # waits for every parameter
    optimizer, gradients = torch.optim.SGD(wrapped.parameters(), lr=0.05), []
    for step in range(2):
        data = dict(inputs=images(rank, step), data_samples=samples(SEEN[rank][step]))
        optimizer.zero_grad()
        model.parse_losses(wrapped(**model.data_preprocessor(data), mode='loss'))[0].backward()
        optimizer.step()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    torch.save(dict(weights=dict(model.named_parameters()), gradients=gradients), f'{folder}/{rank}.pt')
    close_process_group()


def test_two_processes(tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    mp.start_processes(work, args=(str(tmp_path), ), nprocs=2, start_method='spawn')
    zero, one = (torch.load(tmp_path / f'{rank}.pt') for rank in range(2))
    assert all(torch.equal(value, one['weights'][name]) for name, value in zero['weights'].items())
    # The first step is the mean of the gradients of the two batches, each computed alone.
    expected = {}
    for rank in range(2):
        model = network().train()
        data = model.data_preprocessor(dict(inputs=images(rank, 0), data_samples=samples(SEEN[rank][0])))
        model.parse_losses(model(**data, mode='loss'))[0].backward()
        for name, p in model.named_parameters():
            expected[name] = expected.get(name, 0) + (torch.zeros_like(p) if p.grad is None else p.grad) / 2
    for name, value in expected.items():
        torch.testing.assert_close(zero['gradients'][0][name], value, rtol=1e-4, atol=1e-6)
        if 'd1_c1' in name:
            assert not value.any()
    assert any(value.any() for name, value in expected.items() if 'd0_c2' in name)
