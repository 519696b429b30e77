"""Features of any images to a file."""

from typing import Optional

from mmengine.logging import print_log

from mmreid.evaluation.feature_files import write_features
from mmreid.evaluation.retrieval_data import SPLITS, Features
from mmreid.registry import METRICS

from .feature_metric import FeatureMetric


@METRICS.register_module()
class FeatureDump(FeatureMetric):
    """Write the features of a dataset, training images as well, to a file and score nothing.

    Args:
        out (str): File ``*.npz``; its arrays are ``<split>_feats`` ``(N, C)``, ``<split>_pids``, ``<split>_camids``,
            ``<split>_sample_idx`` (the row in the dataset) and ``<split>_paths`` (the image file) ``(N,)`` for each
            split of the dataset.
        collect_device (str): ``'cpu'`` or ``'gpu'``, as in mmengine. Defaults to ``'cpu'``.
        prefix (str, optional): Prefix of the keys, which are ``num_<split>``. Defaults to none.

    Raises:
        ValueError: If ``out`` has another suffix.
    """

    splits = SPLITS
    needed_splits = ()
    wants_paths = True

    def __init__(self, out: str, collect_device: str = 'cpu', prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not str(out).endswith('.npz'):
            raise ValueError(f'out must name a file that ends in .npz, got {str(out)!r}')
        self.out = out

    def compute(self, splits: dict[str, Features]) -> dict:
        """Write the file; returns the number of images of each split."""
        write_features(self.out, splits, self.paths)
        print_log(f'features written to {self.out}', logger='current')
        return {f'num_{name}': len(split) for name, split in splits.items()}
