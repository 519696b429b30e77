"""EmbAE, step 3, cam: as mobilenet_folder2folder_new.py, for images whose names say their camera (0001_c2.jpg)."""

_base_ = './mobilenet_folder2folder_new.py'

model = dict(heads=dict(ae=dict(nuisance='per_camera')))
train_dataloader = dict(dataset=dict(dataset=dict(camera_pattern=r'_c(\d+)')))
load_from = 'work_dirs/embae/mobilenet_folder_autoencoder_cam/epoch_30.pth'
