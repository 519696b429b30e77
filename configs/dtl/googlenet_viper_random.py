"""DTL with GoogLeNet on VIPeR, SID+PV, independent dropout (DTL, Table 5).

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = './googlenet_viper.py'

model = dict(
    heads=dict(
        ver=dict(dropout_mode='random'),
        ver_aux1=dict(dropout_mode='random'),
        ver_aux2=dict(dropout_mode='random')))
