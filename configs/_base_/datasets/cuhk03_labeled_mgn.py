# CUHK03 as in cuhk03_detected_mgn.py, with the boxes drawn by hand.
_base_ = './cuhk03_detected_mgn.py'

train_dataloader = dict(dataset=dict(box='labeled'))
val_dataloader = dict(dataset=dict(box='labeled'))
test_dataloader = val_dataloader
