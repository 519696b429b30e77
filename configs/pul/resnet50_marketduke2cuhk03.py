"""PUL from Market-1501 and DukeMTMC-reID to CUHK03 without labels (PUL, Table IV)."""

_base_ = [
    '../_base_/models/ide_resnet50.py',
    '../_base_/datasets/cuhk03_pul.py',
    '../_base_/schedules/sgd_pul_rounds.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/baseline/ide_resnet50_marketduke/epoch_40.pth'
default_hooks = dict(
    pseudo_labels=dict(
        type='PseudoLabelHook', labeller=dict(type='SelfPacedKMeans', num_clusters=750, threshold=0.85)))
