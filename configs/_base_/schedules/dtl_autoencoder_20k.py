"""An autoencoder at full size: 20,000 iterations of Adam, 0.001, as many as a step of DTL to a small data set."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.001))
param_scheduler = dict(type='ConstantLR', factor=1.0, by_epoch=False)
train_cfg = dict(by_epoch=False, max_iters=20000, val_interval=5000)
val_cfg = dict()
test_cfg = dict()

custom_hooks = [
    dict(type='PhaseHook', by_epoch=False,
         phases=[dict(name='autoencoder', trainable=('neck.encoder', 'heads.ae'))])
]
