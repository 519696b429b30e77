"""PUL from Market-1501 and DukeMTMC-reID to CUHK03 with the labels of 25 identities (PUL, Table IV)."""

_base_ = [
    '../_base_/models/ide_resnet50.py',
    '../_base_/datasets/cuhk03_pul.py',
    '../_base_/schedules/sgd_pul_rounds.py',
    '../_base_/default_runtime.py',
]

load_from = 'work_dirs/baseline/ide_resnet50_cuhk03_25ids/epoch_40.pth'
train_dataloader = dict(dataset=dict(dataset=dict(num_labeled_ids=25), keep_labels=True))
default_hooks = dict(
    pseudo_labels=dict(
        type='PseudoLabelHook', labeller=dict(type='SelfPacedKMeans', num_clusters=750, threshold=0.85)))
