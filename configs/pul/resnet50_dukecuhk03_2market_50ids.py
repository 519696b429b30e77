"""PUL from DukeMTMC-reID and CUHK03 to Market-1501 with the labels of 50 identities (PUL, Table IV)."""

_base_ = './resnet50_dukecuhk03_2market.py'

load_from = 'work_dirs/baseline/ide_resnet50_market_50ids/epoch_40.pth'
train_dataloader = dict(dataset=dict(dataset=dict(num_labeled_ids=50), keep_labels=True))
