# Your own labelled images, data/old_cameras/<identity>/*.jpg with cameras in the file names (0001_c2.jpg), 18
# identities x 4 images a batch, at 256x128; half of the identities are for testing.
_base_ = './embae_duke2market.py'
dataset_type = 'FolderReID'
data_root = 'data/old_cameras'
_cameras = r'_c(\d+)'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, camera_pattern=_cameras))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root, camera_pattern=_cameras))
test_dataloader = val_dataloader
