"""PUL from Market-1501 and CUHK03 to DukeMTMC-reID with the labels of 50 identities (PUL, Table IV)."""

_base_ = './resnet50_marketcuhk03_2duke.py'

load_from = 'work_dirs/baseline/ide_resnet50_duke_50ids/epoch_40.pth'
train_dataloader = dict(dataset=dict(dataset=dict(num_labeled_ids=50), keep_labels=True))
