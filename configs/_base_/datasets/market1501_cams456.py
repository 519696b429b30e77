# The other camera network, with its labels: cameras 4-6 and the other half of the training identities.
_base_ = './market1501_cams123.py'

train_dataloader = dict(dataset=dict(pid_fold=(1, 2), keep_camids=[4, 5, 6]))
