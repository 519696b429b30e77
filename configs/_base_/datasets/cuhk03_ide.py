# CUHK03, boxes of the detector, 767 training and 700 test identities, prepared as PUL does.
_base_ = './market1501_ide.py'
dataset_type = 'CUHK03'
data_root = 'data/cuhk03_release'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, protocol='new', box='detected'))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, protocol='new', box='detected'))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['cuhk03-np'])
test_evaluator = val_evaluator
