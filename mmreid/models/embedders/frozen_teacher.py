"""A trained network that is asked for features and never changes."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import print_log

from mmreid.models.utils import at_least_float32
from mmreid.registry import MODELS
from mmreid.utils.checkpoint import CheckpointError, read_checkpoint, strip_prefix
from mmreid.utils.config import ConfigError, load_config
from mmreid.utils.config_text import literal_entry
from mmreid.utils.weights import listed, state_hash, weight_differences

from .embedding_net import EmbeddingNet


class FrozenTeacher:
    """The network of a checkpoint, without heads, in evaluation mode and without gradients.

    It is no ``nn.Module``, so that nothing that walks a model meets it: it is in no state dict, in no optimizer, in
    nothing that is broadcast, averaged or copied, and ``model.train()`` does not reach it. Its weights are read when
    the first feature is asked for, or by :meth:`load`.

    Args:
        checkpoint (str, optional): File of the weights. None is enough as long as no feature is asked for.
        config (str, optional): Config file that the checkpoint was trained with, for files that do not hold their
            config. Python configs run when they are read, so give only files that you trust.
        model (dict, optional): The same as a dict, the ``model`` of a config.

    Raises:
        ConfigError: If both ``config`` and ``model`` are given.

    Note:
        The checkpoints of this toolbox carry the text of their config. It is parsed and never executed, and may name
        only registered components without a scope, so a stranger's file runs no code. A teacher with components of
        other packages (``mmpretrain.ResNet``) needs ``config`` or ``model``.

        Under autocast the teacher computes in the training's precision; its weights stay float32.
    """

    def __init__(self, checkpoint: str | None = None, config: str | None = None, model: dict | None = None) -> None:
        if config is not None and model is not None:
            raise ConfigError('give the network of a teacher either as teacher.config (a file) or as teacher.model (a '
                              'dict), not both')
        self.checkpoint, self.config, self.model = checkpoint, config, model
        #: The network, once it is loaded.
        self.network: EmbeddingNet | None = None
        #: Hash of its weights, wherever their file lies.
        self.sha256: str | None = None

    def load(self, device: torch.device | str = 'cpu') -> EmbeddingNet:
        """Build the network and read its weights, unless they are there.

        Args:
            device (torch.device or str): Where it goes.

        Raises:
            CheckpointError: If the file cannot be read, or its weights do not fit the network (all are listed).
            ConfigError: If no file is named, or the network is not known or not to be trusted.
        """
        if self.network is not None:
            return self.network
        if self.checkpoint is None:
            raise ConfigError('distillation needs a trained teacher: give its file with '
                              '--cfg-options model.teacher.checkpoint=FILE')
        checkpoint = read_checkpoint(self.checkpoint)
        _require_weights(checkpoint, self.checkpoint)
        network = self._built(self._network_config(checkpoint))
        if not isinstance(network, EmbeddingNet):
            raise ConfigError(f'the teacher {self.checkpoint} must be an EmbeddingNet, got a '
                              f'{type(network).__name__}')
        _fill(network, checkpoint['state_dict'], self.checkpoint)
        self.sha256 = state_hash(network.state_dict())
        self.network = network.float().eval().requires_grad_(False).to(device)
        count = sum(parameter.numel() for parameter in network.parameters())
        print_log(f'Teacher: {type(network.backbone).__name__} + {type(network.neck).__name__} of {self.checkpoint}, '
                  f'{count / 1e6:.1f} m parameters, frozen', logger='current')
        return self.network

    @torch.no_grad()
    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        """Features ``(N, C)`` of a normalised batch, at least float32."""
        network = self.load(inputs.device)
        self.to(inputs.device)
        return at_least_float32(network.extract_feature(inputs.float()))

    def to(self, device: torch.device | str) -> 'FrozenTeacher':
        """Move the network, if it is loaded."""
        if self.network is not None and next(self.network.parameters()).device != torch.device(device):
            self.network.to(device)
        return self

    def __deepcopy__(self, memo: dict) -> 'FrozenTeacher':
        """A copy that has read nothing: averaged models are copies of a model and ask no teacher."""
        return type(self)(self.checkpoint, self.config, self.model)

    def __reduce__(self) -> tuple:
        return type(self), (self.checkpoint, self.config, self.model)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({str(self.checkpoint)!r}, loaded={self.network is not None})'

    def _network_config(self, checkpoint: Mapping[str, Any]) -> dict:
        if self.model is not None:
            return _without_training(self.model)
        if self.config is not None:
            model = load_config(self.config).get('model')
            if model is None:
                raise ConfigError(f'model.teacher.config={self.config} has no entry "model"')
            return _without_training(model)
        hint = ('Give the config it was trained with: --cfg-options model.teacher.config=CONFIG.py (or '
                'model.teacher.model, a dict).')
        meta = checkpoint.get('meta')
        text = meta.get('cfg') if isinstance(meta, Mapping) else None
        if not isinstance(text, str):
            raise ConfigError(f'{self.checkpoint} does not say which network it belongs to. {hint}')
        try:
            cfg = literal_entry(text, 'model')
            if not isinstance(cfg, dict):
                raise ConfigError(f'its model is a {type(cfg).__name__}, expected a dict')
            cfg = _without_training(cfg)
            if 'type' not in cfg:
                raise ConfigError('its model has no type')
            _refuse_unregistered(cfg)
        except ConfigError as error:
            raise ConfigError(f'the config in {self.checkpoint} cannot be used without running it: {error}. If you '
                              f'trust the file: {hint}') from error
        return cfg

    def _built(self, cfg: dict) -> Any:
        """Build the network; whatever goes wrong is said to be the teacher's."""
        try:
            with torch.random.fork_rng(devices=[]):  # the student draws what it would draw without a teacher
                return MODELS.build(cfg)
        except Exception as error:  # what a file describes may raise anything
            raise ConfigError(f'the network of the teacher {self.checkpoint} could not be built '
                              f'({type(error).__name__}: {error}). If it is of another version, give a config as '
                              'model.teacher.config.') from error


def _without_training(cfg: Mapping[str, Any]) -> dict:
    """A network config without heads, initialisation, and a teacher of its own."""
    cfg = {key: value for key, value in _without_init(cfg).items() if key != 'heads'}
    if cfg.get('type') in ('DistillationNet', 'mmreid.DistillationNet'):  # a student, which is a plain network
        cfg = {key: value for key, value in cfg.items() if key not in ('teacher', 'lambda_l1', 'reduction')}
        cfg['type'] = 'EmbeddingNet'
    return cfg


def _without_init(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_init(value) for key, value in node.items() if key != 'init_cfg'}
    return type(node)(_without_init(item) for item in node) if isinstance(node, (list, tuple)) else node


def _refuse_unregistered(node: Any) -> None:
    """Raise unless every ``type`` is a registered model: building ``type='os.system'`` would call it."""
    if isinstance(node, Mapping):
        if '_scope_' in node:
            raise ConfigError('it changes the scope (_scope_)')
        kind = node.get('type', 'EmbeddingNet')
        if not isinstance(kind, str) or kind.removeprefix('mmreid.') not in MODELS.known_names():
            raise ConfigError(f'type={kind!r} is not a component registered here')
        for value in node.values():
            _refuse_unregistered(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _refuse_unregistered(value)


def _require_weights(checkpoint: Mapping[str, Any], source: str) -> None:
    state = checkpoint.get('state_dict')
    if not isinstance(state, Mapping) or not state or not all(
            isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()):
        raise CheckpointError(f'the teacher {source} has no weights: its state_dict must be tensors by name')


def _fill(network: EmbeddingNet, state_dict: Mapping[str, torch.Tensor], source: str) -> None:
    weights = strip_prefix(state_dict, 'module.')
    weights = {key: value for key, value in weights.items() if not key.startswith('heads.')}
    problems = [text for _, text in weight_differences(network.state_dict(), weights)]
    if problems:
        raise CheckpointError(f'the teacher {source} does not fit its network ({type(network.backbone).__name__} + '
                              f'{type(network.neck).__name__}): {len(problems)} differences.\n  {listed(problems)}\n'
                              'Give the config it was trained with as model.teacher.config.')
    network.load_state_dict(weights)
