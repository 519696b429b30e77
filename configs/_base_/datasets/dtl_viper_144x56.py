# VIPeR as in dtl_viper.py at 144x56 (height x width), the input that DGDNet was made for.
_base_ = './dtl_market1501_144x56.py'
dataset_type = 'VIPeR'
data_root = 'data/VIPeR'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, split_id=0))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, split_id=0))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['viper'])
test_evaluator = val_evaluator
