# CUHK03 as in pla_cuhk03_detected.py, with the boxes drawn by hand.
_base_ = './pla_cuhk03_detected.py'

train_dataloader = dict(dataset=dict(box='labeled'))
val_dataloader = dict(dataset=dict(box='labeled'))
test_dataloader = val_dataloader
