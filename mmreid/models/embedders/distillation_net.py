"""A student that also imitates the feature of a frozen teacher."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch.nn import functional as F

from mmreid.models.utils import at_least_float32
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample
from mmreid.utils.config import ConfigError

from .embedding_net import EmbeddingNet
from .frozen_teacher import FrozenTeacher

REDUCTIONS = ('mean', 'sum', 'batchmean')
#: Sizes (height, width) of the empty image with which features are measured before training; parts may need one.
PROBE_SIZES = ((256, 128), (384, 128), (128, 64))


@MODELS.register_module()
class DistillationNet(EmbeddingNet):
    r"""Student-teacher distillation, Eq. (4) of `Progressive Transfer Learning <https://arxiv.org/abs/1908.02492>`_.

    .. math:: L_{distill} = (1 - \lambda) L_{CE} + \lambda L_{l1}(v_{student}, v_{teacher})

    The student is the network itself: its parameters are named as in an :class:`EmbeddingNet`, so that its checkpoints
    load into the plain config and the other way round. The teacher is frozen, in evaluation mode, with latent states
    of zero; it is read when a training begins, and neither known to nor needed for testing. Any two networks
    go together whose features have the same length and whose images are normalised in the same way.

    Args:
        teacher (dict, optional): ``checkpoint`` and, for files that do not hold their config, ``config`` or ``model``;
            see :class:`FrozenTeacher`. Only training needs it. Defaults to None.
        lambda_l1 (float): Share of the L1 loss; every loss of a head is multiplied by the rest. With 0 the teacher is
            neither read nor run and training is that of an :class:`EmbeddingNet`, bit for bit. Defaults to 0.8.
        reduction (str): ``'mean'`` over all numbers of the batch's features, ``'sum'`` over them, or ``'batchmean'``,
            the sum divided by the number of images. What :math:`\lambda` means depends on it; the paper does not say
            which. Defaults to ``'mean'``.
        **network: Arguments of :class:`EmbeddingNet`.

    Raises:
        ConfigError: If ``lambda_l1`` is outside of [0, 1], or ``reduction`` or an entry of ``teacher`` is unknown; in
            training, if there is no teacher, or its features or its images are not those of the student.
        CheckpointError: In training, if the file of the teacher is missing or does not fit its network.

    Note:
        Losses of the heads keep their names and are logged as they enter the total; ``std.loss_l1`` likewise.
        ``std.l1`` is the L1 distance itself, logged only.

    Example:
        >>> student = dict(
        ...     type='DistillationNet', teacher=dict(checkpoint='work_dirs/ptl/densenet161_market/epoch_50.pth'),
        ...     lambda_l1=0.8, backbone=..., neck=..., heads=...)  # doctest: +SKIP
    """

    teacher: FrozenTeacher | None = None
    #: Facts of the training that is resumed, until they are compared.
    past_facts: Mapping[str, Any] | None = None

    def __init__(self,
                 teacher: dict | None = None,
                 lambda_l1: float = 0.8,
                 reduction: str = 'mean',
                 **network: Any) -> None:
        if isinstance(lambda_l1, bool) or not isinstance(lambda_l1, (int, float)) or not 0 <= lambda_l1 <= 1:
            raise ConfigError(f'lambda_l1 must be between 0 (no teacher) and 1 (nothing but the teacher), got '
                              f'{lambda_l1!r}')
        if reduction not in REDUCTIONS:
            raise ConfigError(f'reduction must be one of {REDUCTIONS}, got {reduction!r}')
        if teacher is not None and not isinstance(teacher, Mapping):
            raise ConfigError(f'teacher must be a dict such as dict(checkpoint=FILE), got {teacher!r}. On the command '
                              'line: --cfg-options model.teacher.checkpoint=FILE')
        unknown = sorted(set(teacher or {}) - {'checkpoint', 'config', 'model'})
        if unknown:
            raise ConfigError(f'teacher has the entries checkpoint, config and model, got also {unknown}')
        super().__init__(**network)
        if 'std' in self.heads:
            raise ConfigError('no head may be named "std", the name under which distillation is logged')
        self.teacher = FrozenTeacher(**(teacher or {}))
        self.lambda_l1, self.reduction = lambda_l1, reduction

    def prepare_training(self) -> None:
        """Read the teacher and check that it goes with the student; a runner calls it before anything else.

        Raises:
            CheckpointError: If the file of the teacher is missing or does not fit.
            ConfigError: If no teacher is given, or its images are normalised in another way.
        """
        if self.lambda_l1 == 0 or self.teacher.network is not None:
            return
        network = self.teacher.load(next(self.parameters()).device)
        try:
            self._compare_with(network)
        except ConfigError:
            self.teacher.network = None
            raise
        self._compare_with_past()

    def training_facts(self) -> dict[str, Any]:
        """What a resumed training should have in common with the one before; part of its checkpoints."""
        return dict(lambda_l1=float(self.lambda_l1), reduction=self.reduction, teacher_sha256=self.teacher.sha256)

    def _compare_with_past(self) -> None:
        """Warn where a training goes on with another teacher, or another weight of it."""
        past, facts = self.past_facts, self.training_facts()
        changed = [f'{name} was {past[name]}, now {facts[name]}' for name in facts
                   if past and past.get(name) not in (None, facts[name])]
        self.past_facts = None
        if changed:
            print_log(f'This training goes on with another distillation than it began with: {"; ".join(changed)}. It '
                      'will not equal an uninterrupted one.', logger='current', level=logging.WARNING)

    def _compare_with(self, network: EmbeddingNet) -> None:
        """Refuse a teacher of other images or of other features."""
        ours, theirs = _normalisation(self), _normalisation(network)
        if ours != theirs:
            raise ConfigError(f'student and teacher get the same images, and their networks expect them normalised in '
                              f'different ways: {ours} (student), {theirs} (teacher {self.teacher.checkpoint}). Set '
                              'model.data_preprocessor to that of the teacher.')
        for size in PROBE_SIZES:
            ours, theirs = _feature_length(self, size), _feature_length(network, size)
            if ours is not None and theirs is not None:
                self._require_length(ours, theirs)
                return

    def loss(self, inputs: torch.Tensor, data_samples: Sequence[ReIDDataSample]) -> dict[str, torch.Tensor]:
        """Losses of the heads and of the distillation."""
        if self.lambda_l1 == 0:
            return super().loss(inputs, data_samples)
        self.prepare_training()
        feats = self.extract_feats(inputs)
        losses = {
            key: value * (1 - self.lambda_l1) if 'loss' in key else value
            for key, value in self.loss_by_feats(feats, data_samples).items()
        }
        l1 = self.l1(self.feature(feats), self.teacher.features(inputs))
        return {**losses, 'std.loss_l1': self.lambda_l1 * l1, 'std.l1': l1.detach()}

    def l1(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """L1 distance of the features ``(N, C)`` of a batch, reduced to a scalar, in at least float32.

        Raises:
            ConfigError: If they differ in length.
        """
        self._require_length(student.shape[-1], teacher.shape[-1])
        student = at_least_float32(student)
        total = F.l1_loss(student, teacher.to(student.dtype), reduction='mean' if self.reduction == 'mean' else 'sum')
        return total / len(student) if self.reduction == 'batchmean' else total

    def _require_length(self, student: int, teacher: int) -> None:
        if student != teacher:
            raise ConfigError(f'the feature of the student has {student} numbers and that of the teacher '
                              f'{self.teacher.checkpoint} has {teacher}; they must have the same. Set '
                              f'feat_channels={teacher} in model.neck, and in_channels of the heads likewise.')

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> 'DistillationNet':
        """Take the teacher along to another device; its type stays as it is."""
        super()._apply(fn, recurse)
        if self.teacher is not None:
            device = next(self.parameters()).device
            if device.type == 'meta':  # nothing could be brought back from there
                self.teacher.network = None
            self.teacher.to(device)
        return self


def _feature_length(network: EmbeddingNet, size: tuple[int, int]) -> int | None:
    """Length of the feature of an image; None if the network does not take images of that size."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            image = torch.zeros(1, 3, *size, device=next(network.parameters()).device)
            return int(network.extract_feature(image).shape[-1])
    except (ValueError, RuntimeError):
        return None
    finally:
        for module, training in modes:
            module.training = training


def _normalisation(network: EmbeddingNet) -> dict[str, Any]:
    """What a network expects of its images."""
    values = {name: getattr(network.data_preprocessor, name, None) for name in ('mean', 'std', 'bgr_to_rgb')}
    return {name: value.flatten().tolist() if torch.is_tensor(value) else value for name, value in values.items()}
