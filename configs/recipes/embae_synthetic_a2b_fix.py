"""EmbAE, fix: synthetic domain a to domain b, all three steps."""

# The recipe says where weights come from, not the configs.
_tied = dict(load_from=None, load_parts=None)

stages = dict(
    embedding=dict(config='../embae/mobilenet_synthetic_embedding.py'),
    autoencoder=dict(
        config='../embae/mobilenet_synthetic_autoencoder.py', init_from='embedding', overrides=_tied),
    target=dict(
        config='../embae/mobilenet_synthetic_a2b_fix.py', init_from='autoencoder',
        carry=('backbone', 'neck', 'heads.ae'), overrides=_tied))
