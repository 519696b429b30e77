"""ResNet-50 on DukeMTMC-reID: the row that PTL is compared with, on the data set of Table 4."""

_base_ = [
    '../_base_/models/resnet50_baseline.py',
    '../_base_/datasets/dukemtmc.py',
    '../_base_/schedules/sgd_50e.py',
    '../_base_/default_runtime.py',
]
