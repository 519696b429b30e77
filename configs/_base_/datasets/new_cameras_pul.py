# Your own images without labels, data/new_cameras/*.jpg with cameras in the file names (0001_c2.jpg), prepared as PUL
# does. Nobody knows who is who, so there is nothing to evaluate with.
_base_ = './market1501_pul.py'

train_dataloader = dict(dataset=dict(dataset=dict(
    _delete_=True, type='FolderReID', data_root='data/new_cameras', labels=False, camera_pattern=r'_c(\d+)')))
val_dataloader = val_evaluator = None
test_dataloader = test_evaluator = None
