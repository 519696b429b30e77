"""Hooks: what happens inside an epoch besides training on a batch."""

from .checkpoint_hook import SafeCheckpointHook
from .co_training_hook import CoTrainingHook
from .extraction_cost_hook import ExtractionCostHook
from .gradient_reversal_hook import GradientReversalHook
from .hyper_parameter_schedule_hook import HyperParameterSchedule, HyperParameterScheduleHook
from .initial_evaluation_hook import InitialEvaluationHook
from .invalid_loss_hook import InvalidLossError, InvalidLossHook
from .latent_state_hook import LatentStateResetHook
from .phase_hook import Phase, PhaseHook
from .progress_hook import FeatureProgressHook
from .pseudo_label_hook import PseudoLabelError, PseudoLabelHook
from .training_step_hook import TrainingStepHook

__all__ = [
    'CoTrainingHook', 'ExtractionCostHook', 'FeatureProgressHook', 'GradientReversalHook', 'HyperParameterSchedule',
    'HyperParameterScheduleHook', 'InitialEvaluationHook', 'InvalidLossError', 'InvalidLossHook',
    'LatentStateResetHook', 'Phase', 'PhaseHook', 'PseudoLabelError', 'PseudoLabelHook', 'SafeCheckpointHook',
    'TrainingStepHook'
]
