# CUHK01, 871 identities against 100, all images, the first of ten splits; prepared as dtl_market1501.py.
_base_ = './dtl_market1501.py'
dataset_type = 'CUHK01'
data_root = 'data/CUHK01'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, setting='871/100', split_id=0))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, setting='871/100', split_id=0))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['cuhk01-100'])
test_evaluator = val_evaluator
