"""PUL's rounds from your own labelled cameras to other ones without labels, data/new_cameras/*_c<camera>*.jpg.

The labeller is not PUL's k-means but the one that helped most between two real networks of cameras (model zoo): each
camera's look is taken out, then clusters by density, so that nobody has to say how many people there are.
"""

_base_ = [
    '../_base_/models/ide_resnet50.py',
    '../_base_/datasets/new_cameras_pul.py',
    '../_base_/schedules/sgd_pul_rounds.py',
    '../_base_/pseudo_label_runtime.py',
]

load_from = 'work_dirs/baseline/ide_resnet50_folder/epoch_40.pth'
default_hooks = dict(
    pseudo_labels=dict(
        type='PseudoLabelHook', labeller=dict(type='CameraNormalised', labeller=dict(type='DensityClusters', eps=0.5))))
# There is nothing to evaluate with.
val_cfg = test_cfg = None
