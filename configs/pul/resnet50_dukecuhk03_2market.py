"""PUL from DukeMTMC-reID and CUHK03 to Market-1501 without labels (PUL, Table IV)."""

_base_ = [
    '../_base_/models/ide_resnet50.py',
    '../_base_/datasets/market1501_pul.py',
    '../_base_/schedules/sgd_pul_rounds.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/baseline/ide_resnet50_dukecuhk03/epoch_40.pth'
default_hooks = dict(
    pseudo_labels=dict(
        type='PseudoLabelHook', labeller=dict(type='SelfPacedKMeans', num_clusters=750, threshold=0.85)))
