# CUHK03 and Market-1501 with labels and CUHK01 without, in halves of a batch; tested on CUHK01.
_base_ = './dtl_cuhk03market2target.py'

_target = dict(type='CUHK01', data_root='data/CUHK01', setting='485/486', split_id=0)
train_dataloader = dict(dataset=dict(target=_target))
val_dataloader = dict(dataset=_target)
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['cuhk01'])
test_evaluator = val_evaluator
