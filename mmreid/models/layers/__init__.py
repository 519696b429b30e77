"""Layers that models are made of."""

from .bconv_cell import BConvCell, latent_state_dict, load_latent_state_dict, reset_latent_states
from .dense_encoder import DenseEncoder, initialised
from .gradient_reversal import GradientReversal
from .norm import require_batch
from .pairwise_consistent_dropout import PairMasks, PairwiseConsistentDropout
from .pooling import GlobalPool, build_pool

__all__ = [
    'BConvCell', 'DenseEncoder', 'GlobalPool', 'GradientReversal', 'PairMasks', 'PairwiseConsistentDropout',
    'build_pool', 'initialised', 'latent_state_dict', 'load_latent_state_dict', 'require_batch', 'reset_latent_states'
]
