"""The source of the two networks fine-tuned on 25 people of cameras 4-6: the start of semi-supervised PUL."""

_base_ = './ide_resnet18_cams456.py'

train_dataloader = dict(dataset=dict(num_pids=25))
