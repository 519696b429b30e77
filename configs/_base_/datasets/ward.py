# WARD, 35 random identities against the others, prepared as Market-1501.
# To train on all 70 as EmbAE does: train_dataloader.dataset.split_id=None, and test on another dataset.
_base_ = './market1501.py'
dataset_type = 'WARD'
data_root = 'data/WARD'
split_id = 0  # 0 to 9, in all loaders; papers average over the ten

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, split_id=split_id))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, split_id=split_id))
test_dataloader = val_dataloader
