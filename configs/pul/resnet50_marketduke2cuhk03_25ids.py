"""PUL from Market-1501 and DukeMTMC-reID to CUHK03 with the labels of 25 identities (PUL, Table IV)."""

_base_ = './resnet50_marketduke2cuhk03.py'

load_from = 'work_dirs/baseline/ide_resnet50_cuhk03_25ids/epoch_40.pth'
train_dataloader = dict(dataset=dict(dataset=dict(num_labeled_ids=25), keep_labels=True))
