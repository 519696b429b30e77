"""IDE of Market-1501 and DukeMTMC-reID, fine-tuned on 50 people of CUHK03: the start of semi-supervised PUL."""

_base_ = './ide_resnet50_cuhk03.py'

load_from = 'work_dirs/baseline/ide_resnet50_marketduke/epoch_40.pth'
train_dataloader = dict(dataset=dict(num_pids=50))
