"""PUL from Market-1501 to your own images without labels, data/my_images/*.jpg."""

_base_ = './resnet50_duke2market.py'

load_from = 'work_dirs/baseline/ide_resnet50_market/epoch_40.pth'
train_dataloader = dict(dataset=dict(dataset=dict(
    _delete_=True, type='FolderReID', data_root='data/my_images', labels=False)))
# About as many as there are people.
default_hooks = dict(pseudo_labels=dict(labeller=dict(num_clusters=500)))
# Nobody knows who is who, so there is nothing to evaluate with.
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
