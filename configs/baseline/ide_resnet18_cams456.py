"""The source of the two networks fine-tuned on cameras 4-6 and the other half of the identities with all labels."""

_base_ = './ide_resnet18_cams123.py'

load_from = 'work_dirs/baseline/ide_resnet18_cams123/epoch_16.pth'
train_dataloader = dict(dataset=dict(pid_fold=(1, 2), keep_camids=[4, 5, 6]))
