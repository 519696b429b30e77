"""DTL with GoogLeNet on VIPeR, SID+TL, independent dropout (DTL, Table 5).

A stage of a recipe; trained by itself, it needs load_from=FILE, the checkpoint of the stage before.
"""

_base_ = './googlenet_viper_sid_tl.py'

model = dict(
    heads=dict(
        tri=dict(dropout_mode='random'),
        tri_aux1=dict(dropout_mode='random'),
        tri_aux2=dict(dropout_mode='random')))
