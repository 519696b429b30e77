"""EmbAE, step 3, straightforward: embedding, nuisance encoder and decoder together; 10 epochs of Adam at 1e-4."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999)))
param_scheduler = dict(type='ConstantLR', factor=1.0)
train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=5)
val_cfg = dict()
test_cfg = dict()

custom_hooks = [
    dict(type='TrainingStepHook', method='EmbAE', step='fine-tuning', starts_from='autoencoder'),
    dict(type='PhaseHook', phases=[
        dict(name='everything', trainable=('neck.embedding', 'heads.ae'), heads_on=('ae', ))]),
]
find_unused_parameters = True  # what is frozen has no gradient that processes could wait for
