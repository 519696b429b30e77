# CUHK03 and Market-1501 with labels and PRID 2011 without, in halves of a batch; tested on PRID 2011.
_base_ = './dtl_cuhk03market2target.py'

_target = dict(type='PRID2011', data_root='data/prid_2011', split_id=0)
train_dataloader = dict(dataset=dict(target=_target))
val_dataloader = dict(dataset=_target)
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['prid2011'])
test_evaluator = val_evaluator
