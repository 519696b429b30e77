"""Latent states are private to each process: nothing broadcasts them, and their sizes may differ."""

import datetime

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmreid.models.layers import BConvCell, latent_state_dict
from mmreid.registry import MODELS
from mmreid.structures import ReIDDataSample
from mmreid.utils.distributed import close_process_group


class CellAndNorm(nn.Module):

    def __init__(self):
        super().__init__()
        self.cell, self.norm = BConvCell(3, 4), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.cell(x)).square().mean()


def plain(rank):
    """State of rank after batches of its own sizes, wrapped and not wrapped."""
    torch.manual_seed(0)
    model, alone = CellAndNorm(), CellAndNorm()
    alone.load_state_dict(model.state_dict())
    if rank == 1:  # a state that is there before wrapping is not overwritten either
        for net in (model, alone):
            net.cell.state = torch.ones(5, 4, 6, 4)
    wrapped = DistributedDataParallel(model, broadcast_buffers=True)
    generator = torch.Generator().manual_seed(rank)
    for size in ((3, 4, 2), (5, 2, 5))[rank]:
        x = torch.randn(size, 3, 6 + 2 * (1 - rank), 4, generator=generator)
        wrapped(x).backward()
        alone(x)
    return dict(wrapped=model.cell.state, alone=alone.cell.state, mean=model.norm.running_mean)


def embedding_net(rank):
    """Latent states of the whole model after training steps through mmengine's wrapper."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='EmbeddingNet',
            backbone=dict(type='ResNetTaps', depth=18, out_indices=(0, 1, 2)),
            neck=dict(
                type='PTLNeck',
                in_channels=(3, 64, 64),
                cell_channels=(2, 2),
                fusion_channels=(2, ),
                strides=(4, 1),
                feat_channels=4),
            heads=dict(id=dict(type='ClassificationHead', in_channels=4, num_classes=3))))
    wrapped = MMDistributedDataParallel(model.train())
    for size in (4, 2):
        samples = [ReIDDataSample().set_gt_label(n % 3) for n in range(size + rank)]
        data = dict(inputs=torch.randint(0, 255, (size + rank, 3, 32, 16), dtype=torch.uint8), data_samples=samples)
        losses = wrapped(**model.data_preprocessor(data, True), mode='loss')
        model.parse_losses(losses)[0].backward()
    predictions = wrapped.val_step(data)
    return {name: len(state) for name, state in latent_state_dict(wrapped).items()}, len(predictions)


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/rendezvous',
        rank=rank,
        world_size=2,
        timeout=datetime.timedelta(seconds=120))
    torch.save(dict(plain=plain(rank), net=embedding_net(rank)), f'{folder}/{rank}.pt')
    close_process_group()


def test_two_processes(tmp_path):
    mp.start_processes(work, args=(str(tmp_path), ), nprocs=2, start_method='spawn')
    zero, one = (torch.load(tmp_path / f'{rank}.pt') for rank in range(2))
    for result, slots in ((zero, 4), (one, 5)):
        assert len(result['plain']['wrapped']) == slots
        assert torch.equal(result['plain']['wrapped'], result['plain']['alone'])
    assert zero['plain']['wrapped'].shape[2:] != one['plain']['wrapped'].shape[2:]
    assert zero['net'] == ({'neck.cells.0': 4, 'neck.cells.1': 4}, 2)
    assert one['net'] == ({'neck.cells.0': 5, 'neck.cells.1': 5}, 3)
