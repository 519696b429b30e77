"""IDE with ResNet-50 on DukeMTMC-reID and CUHK03, tested on Market-1501: the original model of PUL (section IV-C)."""

_base_ = [
    '../_base_/models/ide_resnet50.py',
    '../_base_/datasets/dukecuhk03_ide.py',
    '../_base_/schedules/sgd_pul_40e.py',
    '../_base_/default_runtime.py',
]
