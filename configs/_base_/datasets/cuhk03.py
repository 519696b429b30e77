# CUHK03, boxes of the detector, 767 training and 700 test identities, prepared as Market-1501.
_base_ = './market1501.py'
dataset_type = 'CUHK03'
data_root = 'data/cuhk03_release'
protocol = 'new'
box = 'detected'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, protocol=protocol, box=box))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, protocol=protocol, box=box))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['cuhk03-np'])
test_evaluator = val_evaluator
