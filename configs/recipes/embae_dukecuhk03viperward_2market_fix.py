"""EmbAE, fix: four datasets to Market-1501, all three steps."""

# The recipe says where weights come from, not the configs.
_tied = dict(load_from=None, load_parts=None)

stages = dict(
    embedding=dict(config='../embae/mobilenet_dukecuhk03viperward_embedding.py'),
    autoencoder=dict(
        config='../embae/mobilenet_dukecuhk03viperward_autoencoder.py', init_from='embedding', overrides=_tied),
    target=dict(
        config='../embae/mobilenet_dukecuhk03viperward_2market_fix.py', init_from='autoencoder',
        carry=('backbone', 'neck', 'heads.ae'), overrides=_tied))
