# CUHK01, 485 identities against 486, one image a view, the first of ten splits; prepared as dtl_market1501.py.
_base_ = './dtl_market1501.py'
dataset_type = 'CUHK01'
data_root = 'data/CUHK01'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, setting='485/486', split_id=0))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, setting='485/486', split_id=0))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['cuhk01'])
test_evaluator = val_evaluator
