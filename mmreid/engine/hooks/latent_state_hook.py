"""When the latent states of BConv-Cells start from zero again."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmreid.models.layers import reset_latent_states
from mmreid.registry import HOOKS


@HOOKS.register_module()
class LatentStateResetHook(Hook):
    """Set all latent states to zero at the beginning of each epoch (PTL, section 3.2).

    Args:
        policy (str): ``'epoch'`` as in the paper; ``'batch'`` before every batch, which is what the authors' released
            code does once it has evaluated for the first time, because its evaluation flag is never unset. Defaults to
            ``'epoch'``.

    Raises:
        ValueError: If ``policy`` is neither.

    Note:
        Priority ``NORMAL``. The reset depends on the position in the epoch alone, so a training resumed inside an epoch
        keeps the states of its checkpoint. In iteration-based training an epoch is one pass over the data.
    """

    priority = 'NORMAL'
    policies = ('epoch', 'batch')

    def __init__(self, policy: str = 'epoch') -> None:
        if policy not in self.policies:
            raise ValueError(f'policy must be one of {", ".join(self.policies)}, got {policy!r}')
        self.policy = policy

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Reset before the first batch of an epoch, or before every batch."""
        if self.policy == 'batch' or runner.train_loop.batch_in_epoch == 0:
            reset_latent_states(runner.model.module if is_model_wrapper(runner.model) else runner.model)
