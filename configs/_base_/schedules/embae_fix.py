"""EmbAE, step 3, fix: the nuisance encoder stays as it is; 10 epochs of Adam at 1e-4."""

_base_ = './embae_straightforward.py'

custom_hooks = [
    dict(type='TrainingStepHook', method='EmbAE', step='fine-tuning', starts_from='autoencoder'),
    dict(type='PhaseHook', phases=[
        dict(name='embedding', trainable=('neck.embedding', 'heads.ae.decoder'), heads_on=('ae', ))]),
]
