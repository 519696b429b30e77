"""DenseNet-161 on DukeMTMC-reID, taught by a DenseNet-161+PTL: give model.teacher.checkpoint."""

_base_ = [
    '../_base_/models/densenet161_std.py',
    '../_base_/datasets/dukemtmc.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]
