import pytest
import torch

from mmreid.models.heads import ClassificationHead, TripletHead
from mmreid.models.heads.base import ReIDHead
from mmreid.structures import ReIDDataSample


def samples(*labels):
    return [ReIDDataSample().set_gt_label(label) for label in labels]


@pytest.mark.parametrize('hidden', [(), (6, ), (6, 7)])
@pytest.mark.parametrize('norm_cfg', [None, dict(type='BN1d')])
def test_layers_of_the_classifier(hidden, norm_cfg):
    head = ClassificationHead(4, 5, hidden_channels=hidden, norm_cfg=norm_cfg, dropout=0.1)
    linears = [m for m in head.modules() if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in linears] == [*hidden, 5]
    assert head(torch.randn(3, 4)).shape == (3, 5)
    losses = head.loss(dict(feat=torch.randn(3, 4)), samples(0, 1, 4))
    assert sorted(losses) == ['accuracy', 'loss_ce']
    losses['loss_ce'].backward()
    assert all(p.grad.abs().max() > 0 for p in head.parameters())


def test_three_layers_by_hand():
    head = ClassificationHead(4, 5, hidden_channels=(6, ), norm_cfg=None)
    x = torch.randn(3, 4)
    hidden = (x @ head.hidden[0].weight.T + head.hidden[0].bias).clamp(min=0)
    torch.testing.assert_close(head(x), hidden @ head.classifier.weight.T + head.classifier.bias)


def test_accuracy_and_ignored_labels():
    head = ClassificationHead(3, 3, bias=False)
    torch.nn.init.eye_(head.classifier.weight)
    feats = torch.tensor([[9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0], [9.0, 0, 0]], requires_grad=True)
    losses = head.loss(dict(feat=feats), samples(0, 1, 0, -1))
    assert losses['accuracy'].item() == pytest.approx(200 / 3)
    labelled = head.loss(dict(feat=feats[:3]), samples(0, 1, 0))
    torch.testing.assert_close(losses['loss_ce'], labelled['loss_ce'])
    losses['loss_ce'].backward()
    assert feats.grad[3].abs().max() == 0


@pytest.mark.parametrize('head', [ClassificationHead(4, 5, hidden_channels=(6, )), TripletHead()])
def test_batch_without_labels(head):
    feats = torch.randn(3, 4, requires_grad=True)
    losses = head.loss(dict(feat=feats), samples(-1, -1, -1))
    total = sum(value for key, value in losses.items() if 'loss' in key)
    total.backward()
    assert total.item() == 0 and feats.grad.abs().max() == 0
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in head.parameters())
    assert all(torch.isfinite(value) for value in losses.values())


def test_heads_that_read_something_else_than_labels():
    """What a subclass reads is checked and compared with; nobody asks for the labels."""

    class CameraHead(ReIDHead):
        def targets_of(self, data_samples):
            return torch.tensor([sample.camid for sample in data_samples])

        def forward(self, feat):
            return feat.sum(1)

        def check_labels(self, labels):
            assert labels.tolist() == [3, 5]

        def loss_by_feat(self, outputs, labels):
            return dict(loss=(outputs - labels).abs().sum())

    feats = dict(feat=torch.tensor([[1., 1.], [2., 2.]]))
    unlabelled = [ReIDDataSample(metainfo=dict(camid=camid)) for camid in (3, 5)]
    assert CameraHead().loss(feats, unlabelled)['loss'].item() == 2
    with pytest.raises(ValueError, match='no gt_label'):
        ClassificationHead(2, 6).loss(feats, unlabelled)


def test_batch_of_one():
    feats = dict(feat=torch.randn(1, 4))
    with pytest.raises(ValueError, match='drop_last=True.*norm_cfg=None of the ClassificationHead'):
        ClassificationHead(4, 5, hidden_channels=(6, )).loss(feats, samples(0))
    assert torch.isfinite(ClassificationHead(4, 5).loss(feats, samples(0))['loss_ce'])
    assert ClassificationHead(4, 5, hidden_channels=(6, )).eval()(feats['feat']).shape == (1, 5)
    assert TripletHead().loss(feats, samples(0))['loss_triplet'].item() == 0


def test_triplet_head_reads_its_key_and_counts():
    feats = dict(feat=torch.zeros(4, 2), feat_before_bn=torch.tensor([[0.0], [3.0], [1.0], [10.0]]))
    losses = TripletHead('feat_before_bn', dict(type='TripletLoss', margin=0.5)).loss(feats, samples(0, 0, 1, 1))
    assert losses['loss_triplet'].item() == pytest.approx(3.75) and losses['num_anchors'].item() == 4


@pytest.mark.parametrize('labels', [(0, 5), (0, -2), (7, 7)])
def test_labels_that_do_not_fit(labels):
    with pytest.raises(ValueError, match='do not fit a classifier of 5 classes'):
        ClassificationHead(4, 5).loss(dict(feat=torch.randn(2, 4)), samples(*labels))


@pytest.mark.parametrize('num_classes', [None, 0])
def test_number_of_classes_is_needed(num_classes):
    with pytest.raises(ValueError, match='from the training dataset'):
        ClassificationHead(4, num_classes)


def test_missing_key_and_labels():
    head = ClassificationHead(4, 5, in_key='other')
    with pytest.raises(KeyError, match="in_key='other'.*feat"):
        head.loss(dict(feat=torch.randn(2, 4)), samples(0, 1))
    unlabelled = [ReIDDataSample(metainfo=dict(img_path='a.jpg'))]
    with pytest.raises(ValueError, match='no gt_label on the sample of a.jpg'):
        ClassificationHead(4, 5).loss(dict(feat=torch.randn(1, 4)), unlabelled)
    with pytest.raises(ValueError, match='got none'):
        ClassificationHead(4, 5).loss(dict(feat=torch.randn(1, 4)), None)
