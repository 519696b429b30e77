"""The same with the labels of 25 people of cameras 4-6."""

_base_ = './resnet18_cams123_2cams456.py'

load_from = 'work_dirs/baseline/ide_resnet18_cams456_25ids/epoch_16.pth'
train_dataloader = dict(dataset=dict(dataset=dict(num_labeled_ids=25), keep_labels=True))
