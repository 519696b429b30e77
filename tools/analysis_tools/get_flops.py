"""What models cost: Mult-Adds, parameters, and the memory and speed of extracting features.

    python tools/analysis_tools/get_flops.py CONFIG [CONFIG ...] [--batch-sizes 1 64] [--json costs.json]

Mult-Adds are half of what ``torch.utils.flop_counter`` counts: matrix products, convolutions and attention. It misses
norms, activations, pooling, interpolation and everything else element by element, recurrent layers that run as one
kernel (LSTM, GRU), and kernels of other packages.

Memory is that of one forward pass in evaluation, the largest growth while it runs. On CUDA: of the memory that tensors
occupy, after a warm-up; what the driver, the library handles and the allocator's cache take comes in addition. On a
CPU: of the resident set of a new process for each batch size, which has seen one image before, so that the libraries
are loaded, and gives freed memory back at once.
"""

import argparse
import copy
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmreid.evaluation.tables import text_table
from mmreid.models import ReIDHead
from mmreid.registry import MODELS
from mmreid.utils.config import ConfigError, load_config
from mmreid.utils.memory import peak_extra_bytes, seconds
from mmreid.utils.option_action import OptionAction

#: Parameters in millions that PTL states (Table 1), by backbone, depth and neck.
PAPER = {
    ('ResNetTaps', 50, 'ReductionNeck'): ('ResNet-50', 28),
    ('ResNetTaps', 50, 'PTLNeck'): ('ResNet-50+PTL', 35),
    ('DenseNetTaps', 161, 'ReductionNeck'): ('DenseNet-161', 32),
    ('DenseNetTaps', 161, 'PTLNeck'): ('DenseNet-161+PTL', 42),
}
REMARK = ('The paper states whole networks and no widths. Counted here: backbone without its ImageNet classifier, neck '
          'with\nthe 1x1 convolution to the feature, and the three-layer classifier, whose last layer depends on the '
          'number of classes.\nWidths of fully connected layers, fusions and cells are choices made to meet the stated '
          'counts; see docs/en/notes/faithfulness.md.')
MEMORY = {
    'cpu': 'growth of the resident set of a new process during one forward pass, after a pass with one image',
    'cuda': 'growth of torch.cuda.max_memory_allocated during one forward pass, after a warm-up'
}
#: Parts of a model that play no part when features are extracted from a normalised batch.
UNUSED = ('heads.', 'data_preprocessor.')
#: Height and width of images where a config does not tell.
SHAPE = (256, 128)
#: Passes before the first one that is timed.
WARM_UP = 2
#: glibc hands every larger block back to the system when it is freed, so that the resident set is what is in use.
EXACT_MALLOC = {'MALLOC_MMAP_THRESHOLD_': '65536', 'MALLOC_TRIM_THRESHOLD_': '0'}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config file, also one of configs/_base_/models')
    parser.add_argument('--shape', type=_positive, nargs=2, metavar=('H', 'W'), help='input size of all (default: that '
                        f'of the test pipeline of each; where there is none, {SHAPE[0]} x {SHAPE[1]})')
    parser.add_argument('--num-classes', type=_positive, default=751, help='where the config leaves it to the dataset')
    parser.add_argument('--batch-sizes', type=_positive, nargs='+', default=[1, 64], metavar='N',
                        help='batches to measure (default: 1 64)')
    parser.add_argument('--repeats', type=_positive, default=5, help='timed passes, of which the median counts')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu',
                        help='cpu, cuda or cuda:N (default: cuda where there is one)')
    parser.add_argument('--amp', action='store_true', help='autocast to float16 on CUDA, to bfloat16 on a CPU')
    parser.add_argument('--no-speed', action='store_true', help='only count, measure nothing')
    parser.add_argument('--json', metavar='FILE', help='also write everything to a file')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction, help='key=value pairs merged into the configs')
    parser.add_argument('--memory-request', type=json.loads, help=argparse.SUPPRESS)  # see memory_in_new_process
    args = parser.parse_args(argv)
    if args.device != 'cpu' and not (args.device.startswith('cuda') and torch.cuda.is_available()):
        parser.error(f'--device must be cpu, or cuda or cuda:N where there is one; got {args.device}')
    return args


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, got {number}')
    return number


# ---- counting ---------------------------------------------------------------


def read_config(path: str, options: dict | None) -> Config:
    """Read a config that has a model; ends the program with a message otherwise."""
    try:
        cfg = load_config(path, options)
    except ConfigError as error:
        sys.exit(str(error))
    except (OSError, SyntaxError) as error:
        sys.exit(f'{path} cannot be read as a config: {type(error).__name__}: {error}')
    if 'model' not in cfg:
        sys.exit(f'{path} has no model; configs are under configs/<method>/ and configs/_base_/models/.')
    return cfg


def input_shape(cfg: Config) -> tuple[int, int] | None:
    """Height and width of the images that a config tests with; None if its test pipeline has no ``Resize``."""
    pipeline = ((cfg.get('test_dataloader') or {}).get('dataset') or {}).get('pipeline') or ()
    scales = [step['scale'] for step in pipeline if step['type'].rpartition('.')[2] == 'Resize' and 'scale' in step]
    if not scales:
        return None
    width, height = (scales[-1], scales[-1]) if isinstance(scales[-1], int) else scales[-1]
    return height, width


def build_model(cfg: Config, num_classes: int) -> nn.Module:
    """Build the model of a config without loading weights, in evaluation mode."""
    model = copy.deepcopy(cfg.model)
    _fill_num_classes(model, num_classes)
    return MODELS.build(model).eval()


def _fill_num_classes(node: Any, num_classes: int) -> None:
    if isinstance(node, dict):
        if 'num_classes' in node and node['num_classes'] is None:
            node['num_classes'] = num_classes
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            _fill_num_classes(value, num_classes)


def count(model: nn.Module, shape: tuple[int, int]) -> dict[str, Any]:
    """Parameters, bytes of the weights and Mult-Adds for one image, in all and of every part.

    What extracts features is what the feature of an image depends on: no heads, and no auxiliary branches that only
    heads read. Parts are the modules right below the model and every head; a parameter that two parts share counts in
    both, and once in the totals.
    """
    image = torch.zeros(1, 3, *shape)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        feats = model(image, mode='tensor')
    with torch.no_grad(), FlopCounterMode(display=False) as feature_counter:
        feature_of(model, image)
    flops, root = counter.get_flop_counts(), type(model).__name__
    parts = [(name, part, _flops(flops, f'{root}.{name}', part)) for name, part in model.named_children()
             if f'{name}.' not in UNUSED]
    for name, head in (getattr(model, 'heads', None) or {}).items():
        with torch.no_grad(), FlopCounterMode(display=False) as head_counter:
            for single in filter(lambda module: isinstance(module, ReIDHead), head.modules()):  # a group has several
                single(feats[single.in_key])
        parts.append((f'head {name}', head, head_counter.get_total_flops()))
    params, buffers = feature_tensors(model, image)
    in_heads = sum(number for name, _, number in parts if name.startswith('head '))
    return dict(
        params=dict(training=sum(p.numel() for p in model.parameters()),
                    features=sum(p.numel() for p in params)),
        mult_adds=dict(training=(counter.get_total_flops() + in_heads) // 2,
                       features=feature_counter.get_total_flops() // 2),
        parts=[dict(name=name, params=sum(p.numel() for p in part.parameters()), mult_adds=number // 2)
               for name, part, number in parts],
        weights_bytes=sum(tensor.nbytes for tensor in (*params, *buffers)))


def feature_of(model: nn.Module, images: torch.Tensor) -> Any:
    """The feature of a normalised batch, as the test loop has it computed."""
    extract = getattr(model, 'extract_feature', None)
    return model(images, mode='tensor') if extract is None else extract(images)


def feature_tensors(model: nn.Module, image: torch.Tensor) -> tuple[list[nn.Parameter], list[torch.Tensor]]:
    """Parameters that the feature depends on, and the buffers of their modules and of modules without any."""
    every = list(model.parameters())
    before = [parameter.requires_grad for parameter in every]
    for parameter in every:
        parameter.requires_grad_(True)
    found = feature_of(model, image)
    total = sum(value.sum() for value in (found.values() if isinstance(found, dict) else (found, )))
    grads = torch.autograd.grad(total, every, allow_unused=True)
    for parameter, wanted in zip(every, before):
        parameter.requires_grad_(wanted)
    used = {parameter for parameter, grad in zip(every, grads) if grad is not None}
    buffers = {id(buffer): buffer for name, module in model.named_modules() if not f'{name}.'.startswith(UNUSED)
               for key, buffer in module.named_buffers(recurse=False)
               if not f'{name}.{key}'.lstrip('.').startswith(UNUSED)
               and (used & set(module.parameters()) or not any(True for _ in module.parameters()))}
    return [parameter for parameter in every if parameter in used], list(buffers.values())


def _flops(flops: dict[str, dict], path: str, module: nn.Module) -> int:
    """Operations counted in a module; a mere container is the sum of what it holds."""
    if path in flops:
        return sum(flops[path].values())
    return sum(_flops(flops, f'{path}.{name}', child) for name, child in module.named_children())


# ---- measuring --------------------------------------------------------------


def forward_pass(model: nn.Module, batch_size: int, shape: tuple[int, int], device: str, amp: bool,
                 ) -> tuple[Callable[[], None], torch.Tensor]:
    """A function that extracts the features of a random batch as the test loop does, and the batch."""
    kind = torch.device(device).type
    images = torch.randn(batch_size, 3, *shape, device=device)
    images = images.contiguous(memory_format=getattr(model, 'memory_format', torch.channels_last))

    def forward() -> None:
        with torch.inference_mode(), torch.autocast(kind, torch.float16 if kind == 'cuda' else torch.bfloat16, amp):
            feature_of(model, images)

    return forward, images


def measure(model: nn.Module, path: str, batch_size: int, args: argparse.Namespace) -> dict[str, Any]:
    """Memory and speed of a batch. Values are None where a batch does not fit or the system does not tell."""
    on_cuda = torch.device(args.device).type == 'cuda'
    result = dict(batch_size=batch_size, input_bytes=None, forward_bytes=None, total_bytes=None, bytes_per_image=None,
                  images_per_second=None, seconds=None)
    try:
        if on_cuda:
            torch.cuda.empty_cache()
        forward, images = forward_pass(model, batch_size, args.shape, args.device, args.amp)
        result['input_bytes'] = images.nbytes
        for _ in range(WARM_UP):
            seconds(forward, args.device)
        result['forward_bytes'] = (peak_extra_bytes(forward, args.device) if on_cuda else
                                   memory_in_new_process(path, batch_size, args))
        times = [seconds(forward, args.device) for _ in range(args.repeats)]
    except torch.cuda.OutOfMemoryError:
        return result
    result['seconds'] = dict(median=statistics.median(times), min=min(times), max=max(times))
    result['images_per_second'] = batch_size / statistics.median(times)
    return result


def memory_in_new_process(path: str, batch_size: int, args: argparse.Namespace) -> int | None:
    """Run this tool anew, for nothing but the memory of one forward pass on a CPU."""
    request = dict(batch_size=batch_size, shape=args.shape, num_classes=args.num_classes, amp=args.amp,
                   cfg_options=args.cfg_options)
    command = [sys.executable, str(Path(__file__).resolve()), path, '--memory-request', json.dumps(request)]
    environment = {**os.environ, **EXACT_MALLOC, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f'The process that measures the memory of a batch of {batch_size} ended with {done.returncode}:\n'
                 f'{done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def answer_memory_request(path: str, batch_size: int, shape: list[int], num_classes: int, amp: bool,
                          cfg_options: dict | None) -> None:
    """Print the growth of the resident set during one forward pass."""
    model = build_model(read_config(path, cfg_options), num_classes)
    forward_pass(model, 1, shape, 'cpu', amp)[0]()
    forward, _ = forward_pass(model, batch_size, shape, 'cpu', amp)
    print(json.dumps(peak_extra_bytes(forward, 'cpu')))


def costs(path: str, args: argparse.Namespace) -> dict[str, Any]:
    """Everything about the model of one config."""
    cfg = read_config(path, args.cfg_options)
    shape = tuple(args.shape or input_shape(cfg) or SHAPE)
    args = argparse.Namespace(**{**vars(args), 'shape': list(shape)})
    model = build_model(cfg, args.num_classes)
    result = dict(config=path, shape=list(shape), **count(model, shape), paper=_paper(cfg), batches=[])
    if not args.no_speed:
        torch.backends.cudnn.benchmark = bool((cfg.get('env_cfg') or {}).get('cudnn_benchmark'))
        model = model.to(args.device)
        result['batches'] = [measure(model, path, batch_size, args) for batch_size in args.batch_sizes]
    for batch in result['batches']:
        if batch['forward_bytes'] is not None:
            grown = batch['input_bytes'] + batch['forward_bytes']
            batch.update(total_bytes=result['weights_bytes'] + grown, bytes_per_image=grown / batch['batch_size'])
    return result


def _paper(cfg: Config) -> dict[str, Any] | None:
    backbone, neck = cfg.model.get('backbone') or {}, cfg.model.get('neck') or {}
    stated = PAPER.get((backbone.get('type'), backbone.get('depth'), neck.get('type')))
    return stated and dict(source='PTL, Table 1', name=stated[0], params=stated[1] * 10**6)


# ---- printing ---------------------------------------------------------------


def part_table(cost: dict[str, Any]) -> str:
    """Parts of a model, and totals."""
    rows = [(part['name'], part['params'], part['mult_adds']) for part in cost['parts']]
    rows += [(label, cost['params'][key], cost['mult_adds'][key])
             for label, key in (('to extract features', 'features'), ('in training', 'training'))]
    return text_table(['part', 'params (M)', 'Mult-Adds (G)'],
                      [[name, f'{params / 1e6:.2f}', f'{mult_adds / 1e9:.3f}'] for name, params, mult_adds in rows])


def comparison_table(results: list[dict[str, Any]]) -> str:
    """One row a config."""
    header = ['config', 'params (M)', 'in training (M)', 'Mult-Adds (G)', 'weights (MB)']
    for batch in results[0]['batches']:
        size = batch['batch_size']
        header += [f'memory of {size} (MB)', f'an image of {size} (MB)', f'images/s of {size}']
    rows = []
    for cost in results:
        numbers = (cost['params']['features'] / 1e6, cost['params']['training'] / 1e6,
                   cost['mult_adds']['features'] / 1e9, cost['weights_bytes'] / 1e6)
        cells = [f'{number:.{digits}f}' for number, digits in zip(numbers, (2, 2, 3, 1))]
        for batch in cost['batches']:
            for key, unit in (('total_bytes', 1e6), ('bytes_per_image', 1e6), ('images_per_second', 1)):
                cells.append('n/a' if batch[key] is None else f'{batch[key] / unit:.1f}')
        rows.append([cost['config'], *cells])
    return text_table(header, rows)


def environment(args: argparse.Namespace) -> dict[str, Any]:
    """Where and how it was measured."""
    kind = torch.device(args.device).type
    name = torch.cuda.get_device_name(args.device) if kind == 'cuda' else _processor()
    return dict(device=args.device, device_name=name, torch=str(torch.__version__), python=platform.python_version(),
                threads=torch.get_num_threads(), amp=args.amp, repeats=args.repeats, warm_up=WARM_UP,
                memory=MEMORY[kind])


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def report(results: list[dict[str, Any]], args: argparse.Namespace) -> None:
    """Print the tables."""
    for cost in results:
        print(f'{cost["config"]}, one image of {cost["shape"][0]} x {cost["shape"][1]}\n{part_table(cost)}')
        if cost['paper']:
            print(f'PTL, Table 1: {cost["paper"]["name"]} has {cost["paper"]["params"] // 10**6} M parameters.\n'
                  f'{REMARK}')
        print()
    print(f'To extract features (M = 10^6, MB = 10^6 bytes)\n{comparison_table(results)}')
    if not args.no_speed:
        where = environment(args)
        print(f'{where["device_name"]} ({where["device"]}), torch {where["torch"]}, {where["threads"]} threads, '
              f'{"autocast" if args.amp else "float32"}; images/s: medians of {args.repeats} passes after {WARM_UP}.\n'
              f'Memory: weights, input and {where["memory"]}; of an image: without the weights, divided by the batch. '
              'n/a: does not fit, or the system does not tell.')


def main() -> None:
    """Count, measure and print."""
    args = parse_args()
    if args.memory_request:
        answer_memory_request(args.configs[0], **args.memory_request)
        return
    results = [costs(path, args) for path in args.configs]
    report(results, args)
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps(dict(environment=environment(args), models=results), indent=2))


if __name__ == '__main__':
    main()
