"""EmbAE, step 3, new, with MobileNet trained in the second half, too; what is reconstructed is then no constant."""

_base_ = './embae_new_small.py'

custom_hooks = [
    dict(type='TrainingStepHook', method='EmbAE', step='fine-tuning', starts_from='autoencoder'),
    dict(type='PhaseHook', phases=[
        dict(name='nuisance', trainable=('heads.ae.nuisance', ), heads_on=('ae', )),
        dict(name='embedding', begin=10, trainable=('backbone', 'neck.embedding', 'heads.ae.decoder'),
             heads_on=('ae', ))]),
]
