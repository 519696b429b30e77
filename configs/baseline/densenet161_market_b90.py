"""DenseNet-161 on Market-1501 with batches of 90: the row DenseNet-161* of PTL, Table 2."""

_base_ = [
    '../_base_/models/densenet161_baseline.py',
    '../_base_/datasets/market1501.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=90)
