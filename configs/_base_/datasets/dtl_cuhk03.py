# CUHK03 as in DTL: the first of the 20 classic splits (1,160 training and 100 test identities, single-shot), boxes of
# the detector; prepared as dtl_market1501.py. All splits: tools/train_splits.py.
_base_ = './dtl_market1501.py'
dataset_type = 'CUHK03'
data_root = 'data/cuhk03_release'

train_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, protocol='classic', split_id=0, box='detected'))
val_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, protocol='classic', split_id=0, box='detected'))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['cuhk03'])
test_evaluator = val_evaluator
