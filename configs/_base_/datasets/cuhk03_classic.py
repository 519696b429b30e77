# CUHK03, the first of the 20 splits with 100 test identities, single-shot. Average over splits with other split_id:
# one trained model each (tools/analysis_tools/average_results.py).
_base_ = './cuhk03.py'

train_dataloader = dict(dataset=dict(protocol='classic', split_id=0))
val_dataloader = dict(dataset=dict(protocol='classic', split_id=0))
test_dataloader = val_dataloader

val_evaluator = dict(type='ReIDMetric', protocols=['cuhk03'])
test_evaluator = val_evaluator
