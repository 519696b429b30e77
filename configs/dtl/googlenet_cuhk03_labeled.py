"""DTL with GoogLeNet on classic CUHK03, boxes drawn by hand (DTL, Table 1); one of 20 splits."""

_base_ = './googlenet_cuhk03_detected.py'

train_dataloader = dict(dataset=dict(box='labeled'))
val_dataloader = dict(dataset=dict(box='labeled'))
test_dataloader = val_dataloader
