"""EmbAE, step 2: 30 epochs of Adam at 1e-3, nuisance encoders and decoder only. The paper says nothing of this."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)))
param_scheduler = dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, T_max=30)
train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=30)
val_cfg = dict()
test_cfg = dict()

custom_hooks = [
    dict(type='TrainingStepHook', method='EmbAE', step='autoencoder', starts_from='embedding'),
    dict(type='PhaseHook', phases=[dict(name='autoencoder', trainable=('heads.ae', ), heads_on=('ae', ))]),
]
find_unused_parameters = True  # what is frozen has no gradient that processes could wait for
