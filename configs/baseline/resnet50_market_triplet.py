"""Strong baseline on Market-1501: BNNeck, label-smoothed cross-entropy and batch-hard triplet loss, P=16 x K=4."""

_base_ = [
    '../_base_/models/resnet50_bnneck_triplet.py',
    '../_base_/datasets/market1501_pk.py',
    '../_base_/schedules/adam_120e.py',
    '../_base_/default_runtime.py',
]
