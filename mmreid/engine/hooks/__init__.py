"""Hooks: what happens inside an epoch besides training on a batch."""

from .checkpoint_hook import SafeCheckpointHook
from .initial_evaluation_hook import InitialEvaluationHook
from .invalid_loss_hook import InvalidLossError, InvalidLossHook
from .latent_state_hook import LatentStateResetHook
from .progress_hook import FeatureProgressHook

__all__ = [
    'FeatureProgressHook', 'InitialEvaluationHook', 'InvalidLossError', 'InvalidLossHook', 'LatentStateResetHook',
    'SafeCheckpointHook'
]
