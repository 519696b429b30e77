# CUHK03 and Market-1501 with labels and VIPeR without, in halves of a batch; tested on VIPeR.
_base_ = './dtl_cuhk03market2target.py'

_target = dict(type='VIPeR', data_root='data/VIPeR', split_id=0)
train_dataloader = dict(dataset=dict(target=_target))
val_dataloader = dict(dataset=_target)
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['viper'])
test_evaluator = val_evaluator
