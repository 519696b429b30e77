# PRID 2011, single shot, one random split, prepared as Market-1501.
_base_ = './market1501.py'
dataset_type = 'PRID2011'
data_root = 'data/prid_2011'
split_id = 0  # 0 to 9, in all loaders; papers average over the ten

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, split_id=split_id))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, split_id=split_id))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['prid2011'])
test_evaluator = val_evaluator
