# Your own images without labels, data/new_cameras/*.jpg, 72 a batch; nobody knows who is who, so there is nothing to
# evaluate with.
_base_ = './embae_market_unlabelled.py'

train_dataloader = dict(dataset=dict(dataset=dict(
    _delete_=True, type='FolderReID', data_root='data/new_cameras', labels=False)))
val_dataloader = val_evaluator = None
test_dataloader = test_evaluator = None
