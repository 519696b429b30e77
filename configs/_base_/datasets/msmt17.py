# MSMT17, prepared as Market-1501.
_base_ = './market1501.py'
dataset_type = 'MSMT17'
data_root = 'data/MSMT17_V1'  # or 'data/MSMT17_V2'
train_on = 'train'  # 32,621 images instead of 30,248: 'train+val'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, train_on=train_on))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader
