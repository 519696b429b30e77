"""IDE of DukeMTMC-reID and CUHK03, fine-tuned on 25 people of Market-1501: the start of semi-supervised PUL."""

_base_ = './ide_resnet50_market.py'

load_from = 'work_dirs/baseline/ide_resnet50_dukecuhk03/epoch_40.pth'
train_dataloader = dict(dataset=dict(num_pids=25))
