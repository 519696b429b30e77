"""EmbAE, step 3, new and cam: 10 epochs for fresh nuisance encoders alone (Adam, 1e-3), then as fix (1e-4)."""

_base_ = './embae_straightforward.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = dict(_delete_=True, type='MultiStepLR', by_epoch=True, milestones=[10], gamma=0.1)
train_cfg = dict(max_epochs=20)

custom_hooks = [
    dict(type='TrainingStepHook', method='EmbAE', step='fine-tuning', starts_from='autoencoder'),
    dict(type='PhaseHook', phases=[
        dict(name='nuisance', trainable=('heads.ae.nuisance', ), heads_on=('ae', )),
        dict(name='embedding', begin=10, trainable=('neck.embedding', 'heads.ae.decoder'), heads_on=('ae', ))]),
]
