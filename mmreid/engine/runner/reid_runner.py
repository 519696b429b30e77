"""mmengine's Runner with checkpoints that survive crashes and resume bit for bit on a CPU."""

import re
import time
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import AbstractSet, Any, Dict, List, Optional, Sequence, Union

import mmengine
import torch
from mmengine.dist import broadcast_object_list, get_rank, is_distributed
from mmengine.model import BaseTTAModel, MMDistributedDataParallel, is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.priority import get_priority
from torch import nn
from torch.utils.data import DataLoader

from mmreid.datasets import reid_collate
from mmreid.registry import LOOPS, RUNNERS
from mmreid.utils.allocator import keep_freed_memory
from mmreid.utils.checkpoint import (
    CheckpointError,
    read_checkpoint,
    resumable_checkpoints,
    verify_checkpoint,
    write_checkpoint,
)
from mmreid.utils.config import ConfigError
from mmreid.version import __version__

from .encoders import untrained_encoders
from .load_state import in_parts, load_model_parts, load_model_state
from .num_classes import fill_num_classes
from .train_state import gather_rank_states, pack_message_hub, rank_state, restore_rank_state, unpack_message_hub

#: Weights of the last layer of a classifier, whose rows are identities.
_CLASSIFIER = re.compile(r'^(module\.)?heads\..*\bclassifier\.')


@RUNNERS.register_module()
class ReIDRunner(Runner):
    """Runner of mmreid (``runner_type = 'ReIDRunner'`` in a config).

    What differs from mmengine's ``Runner``:

    * checkpoints hold tensors and plain types only, are verified before they replace another file, and carry the
      random generators of every rank, the position in the epoch and, inside an epoch, the latent states of PTL;
    * ``resume`` continues from the newest file that can be read and says which ones it passed over;
    * ``num_classes=None`` of a head is filled from the training data, or from the checkpoint when there are none;
    * data loaders have a generator of their own, so that validating does not change what training draws;
    * with ``load_parts=('backbone', 'neck')`` in the config, a training takes only these parts of the network from
      ``load_from``, and everything else starts new; testing and resuming load everything;
    * runners of one process that begin in the same second have logs and histories of their own;
    * it runs distributed on CPUs (gloo) as well as on GPUs;
    * ``env_cfg`` may have ``keep_freed_memory_mb`` (see :func:`mmreid.utils.allocator.keep_freed_memory`).
    """

    #: How many runners of this process began in a second.
    _begun: Dict[str, int] = {}
    _pending_rank_state: Optional[Dict[str, Any]] = None
    _training_begun: bool = False
    #: Weights that were taken from the checkpoint.
    _taken: AbstractSet[str] = frozenset()
    #: Whether the checkpoint that is being read is one to go on from; hooks ask in ``after_load_checkpoint``.
    is_resuming: bool = False

    # ---- environment and building -----------------------------------------------------------------------------------

    def setup_env(self, env_cfg: Dict) -> None:
        """Set up processes, the distributed back end and the memory allocator."""
        threshold = env_cfg.get('keep_freed_memory_mb', 1024)
        if threshold and not torch.cuda.is_available():
            keep_freed_memory(threshold)
        if self.distributed and not torch.cuda.is_available() and not is_distributed():
            # mmengine selects a CUDA device before it starts a process group.
            limit = (env_cfg.get('dist_cfg') or {}).get('timeout')
            torch.distributed.init_process_group(
                backend='gloo', timeout=None if limit is None else timedelta(seconds=limit))
        super().setup_env(env_cfg)
        # mmengine names the logger and the message hub by the second: two runners would write into those of the first.
        begun = self._begun[self._timestamp] = self._begun.get(self._timestamp, 0) + 1
        if begun > 1:
            self._timestamp += f'_{begun}'

    def build_model(self, model: Union[nn.Module, Dict]) -> nn.Module:
        """Build the model after the number of classes is known."""
        if isinstance(model, dict):
            fill_num_classes(self, model)
        return super().build_model(model)

    def wrap_model(self, model_wrapper_cfg: Optional[Dict], model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training, also without a GPU."""
        if self.distributed and not torch.cuda.is_available() and model_wrapper_cfg is None:
            return MMDistributedDataParallel(
                module=model, broadcast_buffers=False,
                find_unused_parameters=self.cfg.get('find_unused_parameters', False))
        return super().wrap_model(model_wrapper_cfg, model)

    def register_default_hooks(self, hooks: Optional[Dict] = None) -> None:
        """As mmengine, with :class:`SafeCheckpointHook` where no checkpoint hook is given."""
        hooks = dict(hooks or {})
        hooks.setdefault('checkpoint', dict(type='SafeCheckpointHook', interval=1))
        super().register_default_hooks(hooks)

    def get_hooks_info(self) -> str:
        """One line that names the hooks in their order (mmengine prints a page)."""
        return ', '.join(f'{type(hook).__name__} ({get_priority(hook.priority)})' for hook in self.hooks)

    @staticmethod
    def build_dataloader(dataloader: Union[DataLoader, Dict], seed: Optional[int] = None,
                         diff_rank_seed: bool = False) -> DataLoader:
        """Build a data loader with a random generator of its own, which stacks the images of a batch.

        Without workers, options that only make sense with them (``persistent_workers``, ``prefetch_factor``) are
        dropped, so that ``--cfg-options train_dataloader.num_workers=0`` works.
        """
        if isinstance(dataloader, DataLoader):
            return dataloader
        defaults = dict(pin_memory=torch.cuda.is_available(), collate_fn=dict(type=reid_collate))
        dataloader = {**defaults, **dataloader}
        if not dataloader.get('num_workers'):
            dataloader = {k: v for k, v in dataloader.items() if k not in ('persistent_workers', 'prefetch_factor')}
        loader = Runner.build_dataloader(dataloader, seed=seed, diff_rank_seed=diff_rank_seed)
        loader.generator = torch.Generator().manual_seed(seed or 0)
        wanted = getattr(loader.batch_sampler.sampler, 'batch_size', loader.batch_size)
        if wanted != loader.batch_size:
            raise ValueError(f'{type(loader.batch_sampler.sampler).__name__} makes batches of {wanted} images, and the '
                             f'data loader cuts batches of {loader.batch_size}. Set batch_size={wanted}.')
        return loader

    def build_train_loop(self, loop: Union[BaseLoop, Dict]) -> BaseLoop:
        """Build the training loop; ``by_epoch`` chooses between mmreid's two."""
        own = {'EpochBasedTrainLoop': 'EpochTrainLoop', 'IterBasedTrainLoop': 'IterTrainLoop'}
        if isinstance(loop, dict) and loop.get('type') in (None, *own):
            loop = dict(loop)
            loop['type'] = own[loop.get('type') or ('EpochBasedTrainLoop' if loop.get('by_epoch', True) else
                                                    'IterBasedTrainLoop')]
            loop.pop('by_epoch', None)
            return LOOPS.build(loop, default_args=dict(runner=self, dataloader=self._train_dataloader))
        return super().build_train_loop(loop)

    def train(self) -> nn.Module:
        """Train.

        What the model needs besides data (such as a teacher) is asked for before weights are initialised; where a
        training is resumed, before its first batch, because a finished one needs nothing any more.

        Raises:
            ConfigError: If ``load_parts`` is not what it must be, or the model lacks what it needs.
        """
        self._training_begun = True
        if self.cfg.get('load_parts') is not None and self._load_from is None:
            self.logger.warning(f'load_parts={self.cfg.load_parts!r} has no effect without load_from=FILE.')
        self._load_parts  # noqa: B018 (raises)
        prepare = getattr(self._bare_model, 'prepare_training', None)
        if prepare is not None and not self._resume:
            prepare()
        return super().train()

    # ---- checkpoints ------------------------------------------------------------------------------------------------

    def save_checkpoint(self, out_dir: str, filename: str, file_client_args: Optional[dict] = None,
                        save_optimizer: bool = True, save_param_scheduler: bool = True, meta: Optional[dict] = None,
                        by_epoch: bool = True, backend_args: Optional[dict] = None) -> None:
        """Write a checkpoint (a collective call: every rank contributes its random state, rank 0 writes).

        Args:
            out_dir: Folder on a local or mounted file system.
            filename: File name inside ``out_dir``.
            save_optimizer: Also save what is needed to resume: optimizer, random states, position in the epoch.
            save_param_scheduler: Also save the parameter schedulers.
            meta: ``epoch`` and ``iter`` to resume from; by default the next epoch, or the next iteration.
            by_epoch: Whether the checkpoint stands at the end of an epoch.

        Raises:
            ValueError: If a remote storage back end is asked for.
            CheckpointError: If the file cannot be written.
        """
        if file_client_args is not None or backend_args is not None:
            raise ValueError('Remote storage back ends are not supported: checkpoints are renamed into place, which '
                             'needs a local or mounted file system. Set out_dir to such a folder.')
        batch_in_epoch = 0 if by_epoch else getattr(self.train_loop, 'batch_in_epoch', 0)
        ranks = None
        if save_optimizer:
            inside = 0 < batch_in_epoch < getattr(self.train_loop, 'epoch_length', 0)
            ranks = gather_rank_states(rank_state(self._bare_model, inside, self._gradients_wait))
        if get_rank() != 0:
            return
        checkpoint = dict(meta=self._checkpoint_meta(meta, by_epoch), state_dict=self._bare_model.state_dict(),
                          message_hub=pack_message_hub(self.message_hub.state_dict()))
        if save_optimizer:
            checkpoint['optimizer'] = self.optim_wrapper.state_dict()
            checkpoint['train_state'] = dict(
                batch_in_epoch=batch_in_epoch, global_batch=self._global_batch, ranks=ranks)
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint['param_schedulers'] = self._scheduler_states()
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        write_checkpoint(checkpoint, Path(out_dir) / filename)

    def load_checkpoint(self, filename: str, map_location: Any = 'cpu', strict: bool = False,
                        revise_keys: Sequence = ((r'^module.', ''), ),
                        parts: Optional[Sequence[str]] = None) -> Dict[str, Any]:
        """Load weights; heads may differ from the file unless ``strict``, everything else must fit.

        Args:
            filename: File to read.
            map_location: Device the tensors go to.
            strict: Whether heads must fit as well.
            revise_keys: ``(pattern, replacement)`` pairs applied to the names in the file.
            parts: Names of the only parts to load, completely (``('backbone', 'neck')``); the rest of the network is
                left as it is. None loads everything.

        Raises:
            CheckpointError: If the file cannot be read or trusted, or the weights do not fit (all are listed).
        """
        checkpoint = read_checkpoint(filename, map_location)
        if 'message_hub' in checkpoint:
            checkpoint['message_hub'] = unpack_message_hub(checkpoint['message_hub'])
        weights = checkpoint['state_dict']
        if parts is not None:
            self._refuse_other_classes(checkpoint, filename, parts)
            # Hooks that copy weights (EMAHook) are to see no more of the file than the model gets.
            checkpoint['state_dict'] = {key: value for key, value in weights.items()
                                        if in_parts(re.sub(r'^module.', '', key), parts)}
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        if parts is not None:
            self._taken = load_model_parts(self._bare_model, weights, str(filename), parts, revise_keys, self.logger)
            self._has_loaded = True
            return checkpoint
        may_differ = () if strict else ('heads.', )
        if not strict and self._identities_differ(checkpoint):
            # Another data set may have as many identities, so the shape alone does not tell.
            checkpoint['state_dict'] = {key: value for key, value in checkpoint['state_dict'].items()
                                        if not _CLASSIFIER.search(key)}
        self._taken = load_model_state(self._bare_model, checkpoint['state_dict'], str(filename), may_differ,
                                       revise_keys, self.logger)
        self._has_loaded = True
        self.logger.info(f'Loaded the weights of {filename}')
        return checkpoint

    def resume(self, filename: str, resume_optimizer: bool = True, resume_param_scheduler: bool = True,
               map_location: Any = 'default') -> None:
        """Continue from a checkpoint: weights, optimizer, schedulers, log, position in the epoch, random states.

        Raises:
            CheckpointError: If the file has no training state, or its weights do not fit exactly.
        """
        # On the CPU: optimizers keep some of their state where it was read, and every rank's state is in the file.
        self.is_resuming = True
        try:
            device = 'cpu' if map_location == 'default' else map_location
            checkpoint = self.load_checkpoint(filename, device, strict=True)
        finally:
            self.is_resuming = False
        if 'train_state' not in checkpoint:
            raise CheckpointError(f'{filename} holds weights but no training state (a best or published checkpoint). '
                                  'To start a new training from its weights use --cfg-options load_from=FILE.')
        meta, state = checkpoint['meta'], checkpoint['train_state']
        self._resume_seed(meta['seed'])
        if hasattr(self._bare_model, 'training_facts'):
            self._bare_model.past_facts = meta.get('training_facts')
        self.train_loop._epoch, self.train_loop._iter = meta['epoch'], meta['iter']
        self.train_loop.batch_in_epoch = state['batch_in_epoch']
        self.message_hub.load_state_dict(checkpoint['message_hub'])
        if resume_optimizer:
            self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
            self.optim_wrapper.load_state_dict(checkpoint['optimizer'])
        if resume_param_scheduler and 'param_schedulers' in checkpoint:
            self._load_schedulers(checkpoint['param_schedulers'])
        self._keep_rank_state(state['ranks'], filename)
        if state['global_batch'] != self._global_batch:
            self.train_loop._iter = self.epoch * len(self.train_dataloader) if self.epoch else self.iter
            self.train_loop.batch_in_epoch = 0
            self.logger.warning(f'{filename} was written with {state["global_batch"]} images in a step, now there are '
                                f'{self._global_batch}: positions inside an epoch do not compare, so epoch '
                                f'{self.epoch + 1} starts at its first batch.')
        self.logger.info(f'Resumed {filename}: {self.epoch} epochs and {self.iter} iterations done, going on at batch '
                         f'{self.train_loop.batch_in_epoch} of the epoch')

    def _identities_differ(self, checkpoint: Dict[str, Any]) -> bool:
        """Whether the training data have other people as classes than those of the checkpoint."""
        theirs = (checkpoint.get('meta', {}).get('dataset_meta') or {}).get('identities')
        ours = getattr(getattr(self._train_dataloader, 'dataset', None), 'metainfo', {}).get('identities')
        return None not in (theirs, ours) and theirs != ours

    def _refuse_other_classes(self, checkpoint: Dict[str, Any], filename: str, parts: Sequence[str]) -> None:
        """A classifier that was asked for must tell apart the people of the training data."""
        theirs = [key for key in checkpoint['state_dict'] if _CLASSIFIER.search(key)
                  and in_parts(re.sub(r'^module.', '', key), parts)]
        if theirs and self._identities_differ(checkpoint):
            raise CheckpointError(f'load_parts={tuple(parts)} includes {theirs[0]} of {filename}, a classifier of '
                                  'other people than those of the training data. Leave it out: name '
                                  'heads.NAME.hidden to take the layers in front of it.')

    @property
    def _load_parts(self) -> Optional[Sequence[str]]:
        """Parts that a training takes from ``load_from``; None where that is everything, or nothing.

        Raises:
            ConfigError: If the config says neither None nor names.
        """
        parts = self.cfg.get('load_parts')
        if parts is None or self._load_from is None or not self._training_begun:
            return None
        parts = (parts, ) if isinstance(parts, str) else parts
        if not isinstance(parts, (list, tuple)) or not parts or not all(
                isinstance(part, str) and part and ',' not in part for part in parts):
            raise ConfigError("load_parts must name parts of the network, such as ('backbone', 'neck'), or be None for "
                              f'everything that fits; got {self.cfg.load_parts!r}')
        return tuple(parts)

    def _init_model_weights(self) -> None:
        """Initialise the weights, except those that a checkpoint is about to replace (they may need a download)."""
        continues = self._resume and (self._resume != 'auto' and self._load_from is not None
                                      or resumable_checkpoints(self._checkpoint_folder()))
        parts = self._load_parts
        if continues or self._load_from is not None and parts is None:
            return
        for name, module in self._bare_model.named_modules():
            if name in (parts or ()):
                module._is_init = True  # mmengine's modules then leave it alone
        super()._init_model_weights()

    def restore_pending_rank_state(self) -> None:
        """Put back this rank's generators and latent states, once, right before the first batch after a resume."""
        if self._pending_rank_state is not None:
            state, self._pending_rank_state = self._pending_rank_state, None
            restore_rank_state(self._bare_model, state)

    def load_or_resume(self) -> None:
        """Resume from the newest readable checkpoint, or load weights, as the config says.

        Raises:
            CheckpointError: If a file cannot be read or trusted, or its weights do not fit.
            ConfigError: If nuisance encoders would be new and never be trained.
        """
        if self._has_loaded:
            return
        if not self._resume:
            self._begin_from_weights()
            return
        filename = None if self._resume == 'auto' else self._load_from
        filename = filename or self._newest_on_rank_zero()
        if filename is not None:
            self.resume(str(filename))
            return
        self.logger.warning(f'Nothing to resume: no epoch_N.pth or iter_N.pth in {self._checkpoint_folder()}. '
                            'Training starts at its beginning.')
        self._begin_from_weights()

    # ---- details ----------------------------------------------------------------------------------------------------

    def _begin_from_weights(self) -> None:
        if self._load_from is None:
            return
        self.load_checkpoint(self._load_from, parts=self._load_parts)
        problem = untrained_encoders(self._bare_model, self._taken, self.hooks) if self._training_begun else None
        if problem is not None:
            raise ConfigError(f'{self._load_from}: {problem}')

    @property
    def _bare_model(self) -> nn.Module:
        """What checkpoints hold: the network without what distributes it or augments its input."""
        model = self.model.module if is_model_wrapper(self.model) else self.model
        return model.module if isinstance(model, BaseTTAModel) else model

    @cached_property
    def _config_text(self) -> str:
        """The config as text; formatting it takes a fifth of a second, so it is done once."""
        return self.cfg.pretty_text

    @property
    def _global_batch(self) -> int:
        """Images in one step of all processes."""
        return self.world_size * (self.train_dataloader.batch_size or 0)

    @property
    def _gradients_wait(self) -> bool:
        """Whether gradients of past batches are accumulated and not yet applied."""
        counts = getattr(self.optim_wrapper, '_accumulative_counts', 1)
        return counts > 1 and self.optim_wrapper._inner_count % counts != 0

    def dump_config(self) -> None:
        """Write the config into the work directory; that of a test into its log folder, beside the training's."""
        if get_rank() == 0:
            folder = self.work_dir if self._train_loop is not None else self.log_dir
            name = Path(self.cfg.filename).name if self.cfg.filename else f'{self.timestamp}.py'
            self.cfg.dump(str(Path(folder) / name))

    def _checkpoint_folder(self) -> Path:
        """The work directory, or the folder that its ``last_checkpoint`` pointer names if it holds no checkpoint."""
        work_dir = Path(self.work_dir)
        if resumable_checkpoints(work_dir):
            return work_dir
        try:
            target = Path((work_dir / 'last_checkpoint').read_text(encoding='utf-8').strip())
        except (OSError, UnicodeDecodeError):
            return work_dir
        return target.parent if target.is_absolute() and resumable_checkpoints(target.parent) else work_dir

    def _newest_on_rank_zero(self) -> Optional[str]:
        """What rank 0 finds, on every rank: file systems do not show all of them the same at the same time."""
        found: List[Any] = [None, None]
        if get_rank() == 0:
            try:
                found[0] = self._newest_readable_checkpoint()
            except CheckpointError as error:
                found[1] = str(error)
        broadcast_object_list(found)
        if found[1] is not None:
            raise CheckpointError(found[1])
        return found[0]

    def _newest_readable_checkpoint(self) -> Optional[Path]:
        candidates = resumable_checkpoints(self._checkpoint_folder())
        for path in candidates:
            try:
                verify_checkpoint(path)
                if 'train_state' not in read_checkpoint(path):
                    raise CheckpointError(f'{path} has no training state (it was saved without the optimizer).')
                return path
            except CheckpointError as error:
                self.logger.warning(f'Passed over a checkpoint that cannot be resumed: {error}')
        if candidates:
            raise CheckpointError(f'None of the {len(candidates)} checkpoints in {candidates[0].parent} can be resumed '
                                  '(see the warnings above). Remove them to start anew, or give a file to --resume.')
        return None

    def _checkpoint_meta(self, meta: Optional[dict], by_epoch: bool) -> Dict[str, Any]:
        meta = dict(meta or {})
        meta.setdefault('epoch', self.epoch + 1 if by_epoch else self.epoch)
        meta.setdefault('iter', self.iter if by_epoch else self.iter + 1)
        meta.update(
            cfg=self._config_text, seed=self.seed, experiment_name=self.experiment_name,
            time=time.strftime('%Y-%m-%d %H:%M:%S'), mmreid_version=__version__,
            mmengine_version=mmengine.__version__, torch_version=str(torch.__version__),
            dataset_meta=getattr(self.train_dataloader.dataset, 'metainfo', None))
        if hasattr(self._bare_model, 'training_facts'):
            meta['training_facts'] = self._bare_model.training_facts()
        return meta

    def _resume_seed(self, seed: int) -> None:
        """Go on with the seed of the checkpoint, also in the sampler, which was built before the file was read."""
        if seed == self.seed:
            return
        self.logger.warning(f'The checkpoint was written with seed {seed}; it replaces the present seed {self.seed}.')
        self._randomness_cfg.update(seed=seed)
        self.set_randomness(**self._randomness_cfg)
        sampler = self.train_dataloader.batch_sampler.sampler
        if hasattr(sampler, 'seed'):
            sampler.seed = seed

    def _keep_rank_state(self, ranks: List[Dict[str, Any]], filename: str) -> None:
        if len(ranks) == self.world_size:
            self._pending_rank_state = ranks[self.rank]
        else:
            self.logger.warning(
                f'{filename} was written by {len(ranks)} processes and is resumed by {self.world_size}: random '
                'generators and latent states start anew, so the run will differ from an uninterrupted one.')

    def _load_schedulers(self, states: Union[List[dict], Dict[str, List[dict]]]) -> None:
        if self.param_schedulers is None:
            self.logger.warning('The checkpoint has parameter schedulers and the config has none: they are left out.')
            return
        self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
        groups = self.param_schedulers if isinstance(self.param_schedulers, dict) else {'': self.param_schedulers}
        states = states if isinstance(states, dict) else {'': states}
        if {name: len(items) for name, items in groups.items()} != {name: len(i) for name, i in states.items()}:
            raise CheckpointError('The checkpoint was written with other parameter schedulers than the config has; '
                                  'resume with the config it was trained with.')
        for name, schedulers in groups.items():
            for scheduler, state in zip(schedulers, states[name]):
                scheduler.load_state_dict(state)

    def _scheduler_states(self) -> Union[List[dict], Dict[str, List[dict]]]:
        if isinstance(self.param_schedulers, dict):
            return {name: [_data(s) for s in items] for name, items in self.param_schedulers.items()}
        return [_data(scheduler) for scheduler in self.param_schedulers]


def _data(scheduler: Any) -> Dict[str, Any]:
    """State of a scheduler without the functions that some keep in it; a rebuilt one has its own."""
    return {key: value for key, value in scheduler.state_dict().items() if not callable(value)}
