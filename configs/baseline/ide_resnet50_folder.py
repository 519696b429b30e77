"""IDE with ResNet-50 on your own labelled images, data/old_cameras/<identity>/*_c<camera>*.jpg: where adaptation to
other cameras starts from."""

_base_ = [
    '../_base_/models/ide_resnet50.py',
    '../_base_/datasets/old_cameras_ide.py',
    '../_base_/schedules/sgd_pul_40e.py',
    '../_base_/default_runtime.py',
]
