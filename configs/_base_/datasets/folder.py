# Your own labelled images, data/old_cameras/<identity>/*.jpg, prepared as Market-1501; half of the identities are for
# testing. What you change stands in five places, and a config that changes fewer trains, validates and tests on
# different things: dataset of train_dataloader, val_dataloader and test_dataloader, protocols of val_evaluator and
# test_evaluator. With cameras in the file names (0001_c2.jpg):
#
#     images = dict(data_root='data/old_cameras', camera_pattern=r'_c(\d+)')
#     train_dataloader = dict(dataset=images)
#     val_dataloader = test_dataloader = dict(dataset=images)
#     val_evaluator = test_evaluator = dict(protocols=['market1501'])
#
# With folders of cameras: camera_pattern=r'cam(\d+)/'; with a list: annotations='list.csv'.
_base_ = './market1501.py'
dataset_type = 'FolderReID'
data_root = 'data/old_cameras'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['all'])  # without cameras, the only one with matches
test_evaluator = val_evaluator
