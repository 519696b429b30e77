"""The code released with PTL: Adam with AMSGrad, 2e-4 divided by ten after 320 and 360 of 400 epochs."""

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, weight_decay=5e-4, amsgrad=True))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[320, 360], gamma=0.1)
train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=50)
val_cfg = dict()
test_cfg = dict()
