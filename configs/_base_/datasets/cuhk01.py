# CUHK01, 485 identities against 486 with one image in each view, prepared as Market-1501.
_base_ = './market1501.py'
dataset_type = 'CUHK01'
data_root = 'data/CUHK01'
setting = '485/486'
split_id = 0  # 0 to 9, in all loaders; papers average over the ten

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, setting=setting, split_id=split_id))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, setting=setting, split_id=split_id))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['cuhk01'])
test_evaluator = val_evaluator
