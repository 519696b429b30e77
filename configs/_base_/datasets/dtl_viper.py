# VIPeR, the first of ten random halves, prepared as dtl_market1501.py. All: tools/train_splits.py.
_base_ = './dtl_market1501.py'
dataset_type = 'VIPeR'
data_root = 'data/VIPeR'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, split_id=0))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, split_id=0))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['viper'])
test_evaluator = val_evaluator
