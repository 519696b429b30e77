# DukeMTMC-reID (withdrawn by its authors in 2019), prepared as PUL does.
_base_ = './market1501_ide.py'
dataset_type = 'DukeMTMCreID'
data_root = 'data/DukeMTMC-reID'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader
