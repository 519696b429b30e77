"""IDE of Market-1501 and CUHK03, fine-tuned on 25 people of DukeMTMC-reID: the start of semi-supervised PUL."""

_base_ = './ide_resnet50_duke.py'

load_from = 'work_dirs/baseline/ide_resnet50_marketcuhk03/epoch_40.pth'
train_dataloader = dict(dataset=dict(num_pids=25))
