# 40 pedestrians of domain 'b' as a small target, two cameras with two pictures each for training; tested on all
# cameras.
_base_ = './dtl_synthetic.py'
domain = 'b'

train_dataloader = dict(dataset=dict(domain=domain, num_train_pids=40, num_cams=2, num_images=2))
val_dataloader = dict(dataset=dict(domain=domain))
test_dataloader = val_dataloader
