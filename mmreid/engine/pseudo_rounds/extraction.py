"""Features of images without labels, in the middle of a training."""

from typing import Optional

import torch
from mmengine.dist import is_main_process
from torch.utils.data import Dataset
from tqdm import tqdm

from mmreid.evaluation.metrics.feature_metric import FeatureMetric
from mmreid.evaluation.retrieval_data import SPLITS, Features


class _Collector(FeatureMetric):
    """Keeps the features of a pool."""

    splits, needed_splits = SPLITS, ()
    collected: Optional[Features] = None

    def compute(self, splits: dict[str, Features]) -> dict:
        """Keep them; there is one split, the training images."""
        self.collected = splits['train']
        return {}


def extract_pool(runner, dataset: Dataset, batch_size: int, num_workers: int) -> Optional[Features]:
    """Extract the features of a dataset with the model of a runner.

    The model is in evaluation mode, so that latent states are zero and batch norm is fixed, and in training mode
    again afterwards. Neither the random generators of the training nor its latent states are touched. All processes
    take part.

    Args:
        runner: A runner in training.
        dataset (Dataset): Training images under a test pipeline, with ``sample_idx`` 0, 1, 2, ...
        batch_size (int): Images of a batch in each process.
        num_workers (int): Processes that load.

    Returns:
        Features: In the order of the dataset, on the main process; None on the others.
    """
    loader = runner.build_dataloader(
        dict(dataset=dataset, sampler=dict(type='EvalSampler'), batch_size=batch_size, num_workers=num_workers),
        seed=runner.seed)
    collector = _Collector()
    runner.model.eval()
    bar = tqdm(total=len(dataset), desc='Extracting features', unit='img', mininterval=15.,
               disable=not is_main_process())
    with bar, torch.no_grad():
        for batch in loader:
            samples = runner.model.test_step(batch)
            collector.process(batch, [sample.to_dict() for sample in samples])
            bar.update(min(len(samples) * runner.world_size, bar.total - bar.n))
    collector.evaluate(len(dataset))
    runner.model.train()
    return collector.collected
