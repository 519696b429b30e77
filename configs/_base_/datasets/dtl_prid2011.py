# PRID 2011, single shot, the first of ten random splits, prepared as dtl_market1501.py. All: tools/train_splits.py.
_base_ = './dtl_market1501.py'
dataset_type = 'PRID2011'
data_root = 'data/prid_2011'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, split_id=0))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, split_id=0))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['prid2011'])
test_evaluator = val_evaluator
