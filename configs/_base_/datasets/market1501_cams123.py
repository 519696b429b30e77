# Market-1501 as two camera networks: cameras 1-3 with one half of the training identities here, cameras 4-6 with the
# other half (market1501_cams456.py). 128x64; tested on cameras 4-6 alone: not the scores of the whole test set.
_base_ = './market1501_small.py'

train_dataloader = dict(dataset=dict(pid_fold=(0, 2), keep_camids=[1, 2, 3]))
val_dataloader = dict(dataset=dict(keep_camids=[4, 5, 6]))
test_dataloader = val_dataloader
