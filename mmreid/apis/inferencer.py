"""Features of images and ranked lists from a trained network."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner.amp import autocast
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from mmreid.engine.runner.load_state import load_model_state
from mmreid.evaluation import Features, RetrievalData
from mmreid.evaluation.retrieval import fitting_device, warn_of_zero_features
from mmreid.models.tta import apply_tta, choose_tta
from mmreid.registry import INFERENCERS, MODELS, TASK_UTILS
from mmreid.utils.checkpoint import read_checkpoint
from mmreid.utils.command_line import check_device
from mmreid.utils.config import ConfigError, load_config
from mmreid.utils.distance import check_metric
from mmreid.utils.features import as_float, as_tensor

from .images import ImageList, Images, Unreadable, collate_readable, list_images, single_threaded
from .nearest import nearest_images
from .preparation import add_test_dataloader, find_test_pipeline
from .results import ImageFeatures, RankedLists

#: How many files an error message names.
MAX_NAMED = 20


@INFERENCERS.register_module()
class ReIDInferencer:
    """Features of any images by a trained network, and the images of a gallery that are nearest to a query.

    Images are prepared as for testing: by the transforms of the test data of the config, or, where it has none, as
    :func:`~mmreid.apis.find_test_pipeline` says. Features are those that ``tools/test.py`` evaluates, and the same bit
    for bit on a CPU where batches are the same. The network is in evaluation mode and has no heads, so that how many
    identities it was trained on makes no difference.

    Args:
        config (str | Path | Config): Config that the network was trained with. Python configs run when they are read.
        checkpoint (str | Path): Its weights; read without running any code.
        device (str, optional): ``'cpu'``, ``'cuda'`` or ``'cuda:N'``. Defaults to None: a CUDA device if there is one.
        tta (str, optional): Test-time augmentation, ``'flip'``, ``'ten_crop'`` or another entry of ``tta`` in the
            config; ``'none'`` for none. Defaults to None: ``tta.default`` of the config, or none.
        batch_size (int): Images a forward pass. Defaults to 64.
        amp (bool): Run the network in float16 (CUDA) or bfloat16 (CPU); so it does in any case where the config says
            ``test_cfg.fp16=True``. Defaults to False.
        cfg_options (dict, optional): Changes of the config, ``{'model.feature_key': 'pooled'}``. Defaults to None.

    Raises:
        ConfigError: If the config cannot be used.
        CheckpointError: If the checkpoint cannot be read or does not fit the network.
        ValueError: If the device is not there, or the batch size not positive.

    Example:
        >>> inferencer = ReIDInferencer('configs/baseline/ide_resnet50_market.py', 'epoch_40.pth')
        >>> gallery = inferencer.extract('data/new_cameras')
        >>> gallery.feats.shape, gallery.paths[0]
        ((12936, 1024), 'data/new_cameras/0001_c1.jpg')
        >>> inferencer.rank('someone.jpg', gallery, topk=5).paths(0)
    """

    def __init__(self,
                 config: Union[str, Path, Config],
                 checkpoint: Union[str, Path],
                 device: Optional[str] = None,
                 tta: Optional[str] = None,
                 batch_size: int = 64,
                 amp: bool = False,
                 cfg_options: Optional[dict[str, Any]] = None) -> None:
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        cfg = _prepared(config, cfg_options)
        self.tta = choose_tta(cfg, tta)
        if self.tta:
            apply_tta(cfg, self.tta)
        self.cfg, self.batch_size = cfg, batch_size
        self.amp = amp or bool(cfg.test_cfg.get('fp16'))
        self.pipeline = find_test_pipeline(cfg)
        self.device = torch.device(check_device(device) or ('cuda' if torch.cuda.is_available() else 'cpu'))
        self.model = _trained(cfg, str(checkpoint)).to(self.device).eval()

    @property
    def metric(self) -> str:
        """Distance of the config's test evaluator (of its validation where there is none), else cosine."""
        for key in ('test_evaluator', 'val_evaluator'):
            evaluators = self.cfg.get(key) or ()
            for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else (evaluators, ):
                if 'metric' in evaluator or str(evaluator.get('type')).split('.')[-1] == 'ReIDMetric':
                    return check_metric(evaluator.get('metric', 'cosine'))
        return 'cosine'

    def extract(self, images: Images, num_workers: int = 0, skip_unreadable: bool = False,
                progress: bool = False) -> ImageFeatures:
        """Features of images.

        Args:
            images (str | PathLike | np.ndarray | Iterable): A folder (searched at any depth), a file, an array
                ``(H, W, 3)`` of uint8 in BGR order as OpenCV reads, or any mix of these.
            num_workers (int): Processes that read images. Defaults to 0.
            skip_unreadable (bool): Leave files out that cannot be read; ``unreadable`` of the result names them.
                Defaults to False.
            progress (bool): Show a progress bar. Defaults to False.

        Returns:
            ImageFeatures: ``feats`` ``(N, D)`` float32 and ``paths``, in the order of the images.

        Raises:
            ValueError: If files cannot be read (all are listed), or the network gives NaN or infinite features.
            FileNotFoundError: If a folder holds no image, or a single path leads nowhere.
            TypeError: If something is neither a path nor pixels of an image.
        """
        # Another package of the same process, a detector for example, may have set its own scope.
        with DefaultScope.overwrite_default_scope(self.cfg.get('default_scope') or 'mmreid'):
            dataset = ImageList(list_images(images), self.pipeline)
        loader = DataLoader(dataset, self.batch_size, num_workers=num_workers, collate_fn=collate_readable,
                            pin_memory=self.device.type == 'cuda', worker_init_fn=single_threaded)
        feats, rows, unreadable = None, [], []
        with tqdm(total=len(dataset), desc='Extracting features', unit='img', disable=not progress) as bar:
            for part in loader:
                unreadable += part['unreadable']
                # Where it ends with an error, the other files are read only to name all that are broken.
                if part['batch'] is not None and (skip_unreadable or not unreadable):
                    batch = self._features(part['batch'])
                    if feats is None:
                        feats = np.empty((len(dataset), batch.shape[1]), dtype=np.float32)
                    feats[len(rows):len(rows) + len(batch)] = batch
                    rows += part['rows']
                bar.update(len(part['rows']) + len(part['unreadable']))
        if unreadable and not (skip_unreadable and rows):
            raise ValueError(_named(unreadable, len(dataset)))
        feats, paths = feats[:len(rows)], [dataset.paths[row] for row in rows]
        _require_finite(feats, paths)
        return ImageFeatures(feats, paths, tuple(unreadable))

    def rank(self,
             query: Union[Images, ImageFeatures],
             gallery: Union[Images, ImageFeatures],
             topk: int = 10,
             metric: Optional[str] = None,
             post_processors: Optional[Sequence[Union[dict, Callable]]] = None,
             num_workers: int = 0) -> RankedLists:
        """The nearest images of the gallery for each query.

        Nothing is left out: a query that is also in the gallery finds itself first. At equal distances the image that
        stands earlier in the gallery comes first. Memory beyond the features is bounded, see
        :func:`~mmreid.apis.nearest_images`.

        Args:
            query (Images | ImageFeatures): As for :meth:`extract`, or what it has returned.
            gallery (Images | ImageFeatures): Likewise.
            topk (int): Length of the lists; a smaller gallery gives shorter ones. Defaults to 10.
            metric (str, optional): ``'cosine'``, ``'euclidean'`` or ``'sqeuclidean'``. Defaults to None: that of the
                config's test evaluator.
            post_processors (Sequence[dict | Callable], optional): As for ``ReIDMetric``, for example
                ``[dict(type='KReciprocalReRanking')]``. Defaults to None: none, whatever the config says.
            num_workers (int): Processes that read images. Defaults to 0.

        Returns:
            RankedLists: ``indices`` and ``distances`` ``(Q, topk)``, and the paths of both sides.

        Raises:
            ValueError: If ``topk`` is not positive, the metric is unknown, features do not fit each other or a
                post-processor, and as :meth:`extract`.
        """
        if topk < 1:
            raise ValueError(f'topk must be at least 1, got {topk}')
        metric = check_metric(metric) if metric is not None else self.metric
        with DefaultScope.overwrite_default_scope('mmreid'):
            steps = [TASK_UTILS.build(dict(step)) if isinstance(step, dict) else step for step in post_processors or ()]
        query, gallery = (images if isinstance(images, ImageFeatures) else self.extract(images, num_workers)
                          for images in (query, gallery))
        data = RetrievalData(_split(query), _split(gallery), metric)
        warn_of_zero_features(data)
        if self.device.type == 'cuda':
            with torch.cuda.device(self.device):
                data = data.to(fitting_device(data))
        else:
            data = data.to(torch.device('cpu'))
        for step in steps:
            data = step(data)
        indices, distances = nearest_images(data, topk)
        return RankedLists(indices, distances, query.paths, gallery.paths, metric)

    @torch.no_grad()
    def _features(self, batch: dict) -> np.ndarray:
        with autocast(enabled=self.amp, device_type=self.device.type):
            samples = self.model.test_step(batch)
        return torch.stack([sample.feature.float() for sample in samples]).cpu().numpy()


def _prepared(config: Union[str, Path, Config], options: Optional[dict[str, Any]]) -> Config:
    """A config of our own with test data, and a network without heads."""
    cfg = load_config(str(config), options) if isinstance(config, (str, Path)) else copy.deepcopy(config)
    if isinstance(config, Config):
        cfg.merge_from_dict(options or {})
    if not cfg.get('model'):
        raise ConfigError('the config has no entry "model"')
    add_test_dataloader(cfg)
    if 'heads' in cfg.model:
        cfg.model.heads = None
    return cfg


def _trained(cfg: Config, checkpoint: str) -> nn.Module:
    """The network of a config with the weights of a checkpoint."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmreid')):
        model = MODELS.build(cfg.model)
    weights = {key: value for key, value in read_checkpoint(checkpoint)['state_dict'].items()
               if not key.removeprefix('module.').startswith('heads.')}
    load_model_state(getattr(model, 'module', model), weights, checkpoint, revise_keys=[(r'^module\.', '')])
    return model


def _split(images: ImageFeatures) -> Features:
    """Features whose identities and cameras nobody knows; ``sample_idx`` are the rows."""
    feats = as_tensor(as_float(images.feats))
    return Features(feats, torch.zeros(len(feats), dtype=torch.int64), None, torch.arange(len(feats)))


def _require_finite(feats: np.ndarray, paths: Sequence[str]) -> None:
    with np.errstate(over='ignore', invalid='ignore'):
        bad = np.flatnonzero(~np.isfinite(np.einsum('ij->i', feats)))
    if len(bad):
        raise ValueError(f'the features of {len(bad)} of {len(feats)} images are NaN or infinite: '
                         f'{", ".join(paths[row] for row in bad[:MAX_NAMED])}{", ..." if len(bad) > MAX_NAMED else ""}')


def _named(unreadable: Sequence[Unreadable], count: int) -> str:
    return (f'{len(unreadable)} of {count} images cannot be read (skip_unreadable=True, on the command line '
            '--skip-unreadable, leaves them out):\n  ' +
            '\n  '.join(reason for _, reason in unreadable))
