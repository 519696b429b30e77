# Your own images, data/my_images/<identity>/*.jpg, prepared as Market-1501; half of the identities are for testing.
# With cameras in the file names (0001_c2.jpg), set camera_pattern=r'_c(\d+)' in both datasets and
# protocols=['market1501'] below; with a list, annotations='list.csv'.
_base_ = './market1501.py'
dataset_type = 'FolderReID'
data_root = 'data/my_images'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader

val_evaluator = dict(protocols=['all'])  # without cameras, the only one with matches
test_evaluator = val_evaluator
