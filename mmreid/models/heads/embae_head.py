"""The autoencoder of EmbAE: nuisance encoders beside the embedding, and the decoder of both."""

import re
from collections.abc import Sequence

import torch
from mmengine.dist import get_world_size
from mmengine.model import BaseModule
from torch import nn

from mmreid.models.layers import DenseEncoder, initialised, require_batch
from mmreid.models.utils import at_least_float32
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample

#: Who has an encoder of its own, and how its key looks.
NUISANCE = dict(shared=r'shared', per_dataset=r'd\d+', per_camera=r'd\d+_c\d+')
#: The encoder of a head that has not been told for which data sets or cameras it is.
UNTOLD = 'untold'


def encoder_key(nuisance: str, domain: int | None, camid: int | None) -> str:
    """Key of the encoder of an image: ``'shared'``, ``'d0'`` or ``'d0_c3'``."""
    return dict(shared='shared', per_dataset=f'd{domain}', per_camera=f'd{domain}_c{camid}')[nuisance]


@MODELS.register_module()
class EmbAEHead(BaseModule):
    r"""Nuisance encoders, decoder and reconstruction loss of EmbAE (sections 4.1 and 4.2).

    .. math:: \ell = \frac1{NC} \sum_i \big\| \phi(x_i) - f_{dec}(z_{id}(x_i), f_{nui}(\phi(x_i))) \big\|_2^2

    :math:`\phi(x)` are the pooled features of the backbone, :math:`z_{id}` the metric embedding, both of an
    :class:`EmbAENeck`. :math:`f_{nui}` (theta_nui, ``heads.ae.nuisance``) has the structure of the embedding, a
    :class:`DenseEncoder`, and weights of its own; there is one for all images, or one for each data set or camera, as
    ``domain`` and ``camid`` of a sample say. The decoder (theta_dec, ``heads.ae.decoder``) is linear, ReLU, linear.
    No label is read.

    An encoder normalises the images that it is given, those of its data set or camera, with their own statistics; a
    single one among the images of others with the running statistics (:class:`DenseEncoder`). An encoder without
    images in a batch gets no gradient. Under distributed training it gets a gradient of zero, so that no process waits
    for it.

    What trains is said by a :class:`~mmreid.engine.hooks.PhaseHook`: ``trainable=('heads.ae', )`` to pre-train,
    ``('neck.embedding', 'heads.ae.decoder')`` to fine-tune with theta_nui as it is, ``('heads.ae.nuisance', )`` for new
    encoders alone. What is not taken from a checkpoint is new:
    ``load_parts=('backbone', 'neck', 'heads.ae.decoder')`` begins with new encoders.

    Logged: ``relative_error``, the squared error as a share of the variance of the features within the batch; 1 is what
    a decoder achieves that always answers with their mean. (``residual`` of an :class:`AutoencoderHead` is a share of
    the squared length, and in percent: features far from zero leave little of it even if nothing that tells images
    apart is reconstructed.)

    Args:
        in_channels (int): Length :math:`C` of the pooled features. Defaults to 1024.
        id_channels (int): Length of :math:`z_{id}`. Defaults to 128.
        nuisance_channels (int): Length of :math:`z_{nui}`. Defaults to 128.
        hidden_channels (int): Width of the hidden layers. Defaults to 1024.
        nuisance (str): ``'shared'``, ``'per_dataset'`` or ``'per_camera'``. Defaults to ``'shared'``.
        encoders (Sequence[str], optional): Keys of the encoders: ``'d0'`` for data set (domain) 0, ``'d0_c3'`` for its
            camera 3. Defaults to None: as the training data need, which the runner fills in. A head that is built
            otherwise has one encoder that stands for those to come and cannot be trained.
        loss_weight (float): Factor of the loss. Defaults to 1.
        detach_target (bool): Whether the features are a constant as the target. It makes a difference only where the
            backbone is trained: through the target it would learn features that are easy to reconstruct, the easiest
            of which is the same one for every image. Defaults to True.
        in_key (str): Embedding with :math:`z_{id}`. Defaults to ``'feat'``.
        target_key (str): Embedding with the pooled features. Defaults to ``'pooled'``.
        init_cfg (dict, optional): Initialization config. Defaults to None.

    Attributes:
        kind: The argument ``nuisance``; ``nuisance`` itself is the encoders by key.
        decoder: theta_dec.

    Raises:
        KeyError: If the neck does not give both embeddings.
        ValueError: If an argument does not fit, embeddings have other lengths, a sample lacks ``domain`` or ``camid``
            or has ones without encoder, or a batch of one image is to be normalised with statistics of its own.
    """

    def __init__(self,
                 in_channels: int = 1024,
                 id_channels: int = 128,
                 nuisance_channels: int = 128,
                 hidden_channels: int = 1024,
                 nuisance: str = 'shared',
                 encoders: Sequence[str] | None = None,
                 loss_weight: float = 1.0,
                 detach_target: bool = True,
                 in_key: str = 'feat',
                 target_key: str = 'pooled',
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if nuisance not in NUISANCE:
            raise ValueError(f'nuisance of EmbAEHead must be one of {tuple(NUISANCE)}, got {nuisance!r}')
        if id_channels < 1:
            raise ValueError(f'id_channels of EmbAEHead must be positive, got {id_channels}')
        self.kind, self.loss_weight, self.detach_target = nuisance, loss_weight, detach_target
        self.in_key, self.target_key = in_key, target_key
        self.lengths = id_channels, in_channels
        # The decoder first: its initial weights then do not depend on the number of encoders.
        self.decoder = nn.Sequential(
            initialised(nn.Linear(id_channels + nuisance_channels, hidden_channels), 'relu'), nn.ReLU(),
            initialised(nn.Linear(hidden_channels, in_channels), 'linear'))
        self.nuisance = nn.ModuleDict({
            key: DenseEncoder(in_channels, nuisance_channels, hidden_channels)
            for key in _checked_keys(nuisance, encoders)
        })

    def loss(self, feats: dict[str, torch.Tensor], data_samples: Sequence[ReIDDataSample]) -> dict[str, torch.Tensor]:
        """Loss of a batch."""
        z_id, pooled = self._inputs(feats)
        keys = self.keys_of(data_samples)
        if len(keys) != len(pooled):
            raise ValueError(f'EmbAEHead got {len(pooled)} images and {len(keys)} data_samples')
        outputs = self(z_id, pooled, keys)
        losses = self.loss_by_feat(outputs, pooled.detach() if self.detach_target else pooled)
        if get_world_size() > 1:
            present = set(keys)
            absent = [p.sum() for key, encoder in self.nuisance.items() if key not in present
                      for p in encoder.parameters()]
            losses['loss_ae'] = losses['loss_ae'] + 0 * sum(absent)
        return losses

    def forward(self, z_id: torch.Tensor, pooled: torch.Tensor, keys: Sequence[str]) -> torch.Tensor:
        """Reconstruct pooled features.

        Args:
            z_id (torch.Tensor): Embeddings ``(N, id_channels)``.
            pooled (torch.Tensor): Features ``(N, in_channels)``.
            keys (Sequence[str]): The encoder of every row, of :meth:`keys_of`.

        Returns:
            torch.Tensor: ``(N, in_channels)``.
        """
        return self.decoder(torch.cat([z_id, self.encode(pooled, keys)], dim=1))

    def encode(self, pooled: torch.Tensor, keys: Sequence[str]) -> torch.Tensor:
        """``z_nui``, ``(N, nuisance_channels)``, of features ``(N, in_channels)``: each encoder runs once, on the rows
        that it has."""
        require_batch(self.nuisance, pooled)
        if len(self.nuisance) > 1 and any(isinstance(m, nn.SyncBatchNorm) for m in self.nuisance.modules()):
            raise ValueError('sync_bn is not for several nuisance encoders: a camera may be absent in one process, and '
                             'the others would wait for its statistics. Leave sync_bn out of the config.')
        rows: dict[str, list[int]] = {}
        for row, key in enumerate(keys):
            rows.setdefault(key, []).append(row)
        if len(rows) == 1:
            return self.nuisance[keys[0]](pooled)
        places = {key: torch.tensor(group).to(pooled.device, non_blocking=True) for key, group in rows.items()}
        codes = torch.cat([self.nuisance[key](pooled[place]) for key, place in places.items()])
        return codes[torch.cat(list(places.values())).argsort()]

    def keys_of(self, data_samples: Sequence[ReIDDataSample] | None) -> list[str]:
        """The encoder of every sample.

        Raises:
            ValueError: If there is none for a sample.
        """
        samples = list(data_samples or ())
        if not samples:
            raise ValueError('EmbAEHead needs data_samples, which say whose encoder an image goes through; got none')
        if UNTOLD in self.nuisance:
            raise ValueError(f'this EmbAEHead with nuisance={self.kind!r} has not been told for which data sets or '
                             f'cameras its encoders are. {_WHENCE}')
        keys = [encoder_key(self.kind, sample.get('domain'), sample.get('camid')) for sample in samples]
        unknown = next((row for row, key in enumerate(keys) if key not in self.nuisance), None)
        if unknown is not None:
            self._refuse(samples[unknown], keys[unknown])
        return keys

    def loss_by_feat(self, outputs: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss and relative error from reconstructed and original features, both ``(N, in_channels)``."""
        target = at_least_float32(target)
        error = (at_least_float32(outputs) - target).square().mean()
        variance = target.detach().var(0, correction=0).mean().clamp(min=torch.finfo(target.dtype).tiny)
        return dict(loss_ae=self.loss_weight * error, relative_error=error.detach() / variance)

    def _inputs(self, feats: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        for name, key, length, option in (('in_key', self.in_key, self.lengths[0], 'id_channels'),
                                          ('target_key', self.target_key, self.lengths[1], 'in_channels')):
            if key not in feats:
                raise KeyError(f'EmbAEHead reads {name}={key!r}, the neck gives {sorted(feats)}; use EmbAENeck')
            if feats[key].shape[-1] != length:
                raise ValueError(f'EmbAEHead was built for {option}={length}, and {key!r} of the neck has '
                                 f'{feats[key].shape[-1]} numbers; set {option} to that')
        return feats[self.in_key], feats[self.target_key]

    def _refuse(self, sample: ReIDDataSample, key: str) -> None:
        needed = ('domain', ) if self.kind == 'per_dataset' else ('domain', 'camid')
        where = sample.get('img_path', 'an unnamed image')
        missing = [name for name in needed if sample.get(name) is None]
        if missing:
            raise ValueError(f'no {" and no ".join(missing)} on the sample of {where}, by which EmbAEHead with '
                             f'nuisance={self.kind!r} finds its encoder; leave {", ".join(needed)} among the meta_keys '
                             "of PackReIDInputs, or set nuisance='shared'")
        raise ValueError(f'no nuisance encoder {key!r} for {where}; there are {", ".join(self.nuisance)}. {_WHENCE}')


_WHENCE = ('Encoders come into being with the model: leave encoders=None, and the runner makes one for every data '
           'set or camera of the training data, new where a checkpoint has none; or name them, such as '
           "encoders=('d0_c1', 'd0_c2').")


def _checked_keys(nuisance: str, encoders: Sequence[str] | None) -> list[str]:
    if encoders is None:
        return ['shared' if nuisance == 'shared' else UNTOLD]
    keys, form = list(encoders), NUISANCE[nuisance]
    wrong = [key for key in keys if not (isinstance(key, str) and re.fullmatch(form, key))]
    if isinstance(encoders, str) or not keys or wrong or len(set(keys)) < len(keys):
        example = dict(shared="('shared', )", per_dataset="('d0', 'd1')", per_camera="('d0_c1', 'd0_c2')")[nuisance]
        raise ValueError(f'encoders of EmbAEHead with nuisance={nuisance!r} must be different keys like {example}, got '
                         f'{encoders!r}')
    return keys
