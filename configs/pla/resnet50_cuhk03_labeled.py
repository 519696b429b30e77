"""PLA with ResNet-50 on CUHK03, boxes drawn by hand (Table 2)."""

_base_ = [
    '../_base_/models/pla_resnet50.py',
    '../_base_/datasets/pla_cuhk03_labeled.py',
    '../_base_/schedules/pla_3000e.py',
    '../_base_/pla_runtime.py',
]
