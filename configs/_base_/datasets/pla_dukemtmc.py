# DukeMTMC-reID (withdrawn by its authors in 2019), prepared for PLA.
_base_ = './pla_market1501.py'
dataset_type = 'DukeMTMCreID'
data_root = 'data/DukeMTMC-reID'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader
