# Your own labelled images, data/old_cameras/<identity>/*.jpg, prepared as PUL does; half of the identities are for
# testing. Cameras are in the file names, 0001_c2.jpg; where they are elsewhere or not known, change all five entries:
# camera_pattern of train, val and test, and (unknown: camera_pattern=None and ['all']) protocols of val and test.
_base_ = './market1501_ide.py'
dataset_type = 'FolderReID'
data_root = 'data/old_cameras'
_cameras = r'_c(\d+)'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, camera_pattern=_cameras))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, camera_pattern=_cameras))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['market1501', 'nd'])
test_evaluator = val_evaluator
