"""Examine datasets: build them, read all files, collect the findings."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from mmreid.registry import DATASETS

from ..base import ReIDDataset
from .files import FileFacts, read_facts
from .findings import Finding, Record, find_all, size_histogram
from .folders import find_in_folder

#: Called with the number of images done since the last call.
Advance = Callable[[int], object]


@dataclass
class PartCount:
    """Size of one part of a dataset, found and published."""

    dataset: str
    split: str
    images: int
    identities: int
    cameras: int
    #: Images of junk and distractors, part of ``images``; none where no image has a label.
    nobody: int
    published_images: int | None = None
    published_identities: int | None = None
    #: Images that are unreadable, empty, truncated or damaged.
    broken: int = 0
    #: Images that have no label because they were read so (``labels=False``), part of ``images``.
    unlabelled: int = 0


@dataclass
class Inspection:
    """Result of :func:`inspect_datasets`."""

    parts: list[PartCount] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    #: What reading the files has shown, by path.
    facts: dict[str, FileFacts] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        """Findings after which the data should not be used."""
        return [finding for finding in self.findings if finding.is_error]

    @property
    def notes(self) -> list[Finding]:
        """Findings that training and evaluation can live with."""
        return [finding for finding in self.findings if not finding.is_error]

    def fix_list(self) -> list[str]:
        """A line for each file of a finding: path, ``error`` or ``note``, kind, reason; separated by tabs.

        Of copies, all are listed but the first.
        """
        lines = []
        for finding in chain(self.errors, self.notes):
            paths = finding.paths[1:] if finding.kind == 'duplicate' else finding.paths
            severity = 'error' if finding.is_error else 'note'
            lines += ['\t'.join([_one_line(path), severity, finding.kind, _one_line(finding.message)])
                      for path in paths]
        return lines

    def to_dict(self) -> dict:
        """Everything but the hashes, in types that JSON knows."""
        return dict(
            passed=not self.errors, num_errors=len(self.errors), num_notes=len(self.notes),
            parts=[vars(part) for part in self.parts],
            findings=[dict(severity='error' if finding.is_error else 'note', kind=finding.kind,
                           message=finding.message, paths=list(finding.paths)) for finding in self.findings],
            files=dict(read=len(self.facts), decoded=sum(fact.pixels is not None for fact in self.facts.values())),
            sizes=size_histogram(self.facts.values()))


def inspect_datasets(settings: Sequence[dict], *, decode: bool = True, num_threads: int = 2,
                     guessed: bool = False, start: Callable[[int], Advance] | None = None) -> Inspection:
    """Examine datasets together, so that what training and test data share is seen.

    Args:
        settings (Sequence[dict]): Configs of the datasets; pipelines and caches are left out.
        decode (bool): Decode all images. Defaults to True.
        num_threads (int): Threads that read files. Defaults to 2.
        guessed (bool): The types were guessed from the layout of a folder: counts far from the published ones mean
            that it is another dataset, and are a note. Defaults to False.
        start (Callable, optional): Called with the number of images; returns what is called with the number of images
            done since its last call. Defaults to None.

    Returns:
        Inspection: Counts, findings and facts.
    """
    result = Inspection()
    datasets, problems = build_datasets(settings)
    result.findings += [Finding('build', problem) for problem in problems]
    images = {path: (dataset, row) for dataset in datasets for path, row in _paths(dataset)}
    advance = (lambda number: None) if start is None else start(len(images))
    facts = read_facts(list(images.values()), decode=decode, num_threads=num_threads, advance=advance)
    result.facts = dict(zip(images, facts, strict=True))
    records: list[Record] = []
    for dataset in datasets:
        own, parts = list_records(dataset), part_counts(dataset)
        broken = Counter(record.split for record in own if result.facts[record.path].problem)
        for part in parts:
            part.broken = broken[part.split]
        result.findings += _count_findings(dataset, parts, guessed)
        result.findings += [finding for finding in find_in_folder(dataset) if finding not in result.findings]
        result.parts += parts
        records += own
    result.findings += find_all(records, result.facts)
    return result


def build_datasets(settings: Sequence[dict]) -> tuple[list[ReIDDataset], list[str]]:
    """Build datasets without pipelines and caches; the parts of a merged one take its place.

    Returns:
        Tuple[List[ReIDDataset], List[str]]: What could be built, each once, and why the others could not.
    """
    datasets, problems = [], []
    for item in settings:
        try:
            datasets += _parts_of(DATASETS.build(_bare(item)))
        except (ImportError, KeyError, OSError, TypeError, ValueError) as error:
            problems.append(str(error.args[0] if isinstance(error, KeyError) else error))
    return datasets, problems


def without_overlay(settings: dict) -> dict:
    """Config of the images below an overlay of labels (``PseudoLabelDataset``); any other config as it is.

    Raises:
        KeyError: If its type is not registered.
    """
    inner, kind = settings.get('dataset'), DATASETS.get(settings['type'])
    is_overlay = isinstance(inner, dict) and not (isinstance(kind, type) and issubclass(kind, ReIDDataset))
    return without_overlay(inner) if is_overlay else settings


def _bare(settings: dict) -> dict:
    bare = dict(without_overlay(settings), pipeline=[], cache=False)
    if 'datasets' in bare:
        bare['datasets'] = [_bare(part) for part in bare['datasets']]
    return bare


def _parts_of(dataset: ReIDDataset) -> list[ReIDDataset]:
    """The datasets that a merged one consists of: they keep the published identities."""
    if not hasattr(dataset, 'datasets'):
        return [dataset]
    return [inner for part in dataset.datasets for inner in _parts_of(part)]


def list_records(dataset: ReIDDataset) -> list[Record]:
    """Records of a dataset."""
    root = os.path.realpath(dataset.data_root) if dataset.data_root else ''
    numbered_per_split = dataset.NUMBERED_PER_SPLIT
    space = ' '.join([dataset.identity_space(), root, dataset.split if numbered_per_split else '']).strip()
    infos = (dataset.get_data_info(row) for row in range(len(dataset)))
    return [Record(info['img_path'], info['pid'], info['camid'], info['split'], space,
                   info['pid'] not in dataset.NON_IDENTITIES) for info in infos]


def part_counts(dataset: ReIDDataset) -> list[PartCount]:
    """Sizes of the parts of a dataset, beside the published ones if it is whole."""
    published = {} if dataset._subset_text() or not dataset.check_counts else dataset.PUBLISHED_COUNTS
    pids, camids, splits = dataset.get_pids(), dataset.get_camids(), dataset.get_splits()
    has_labels = getattr(dataset, 'labels', True)
    parts = []
    for split, number in dataset.count().items():
        inside = splits == split
        part = PartCount(dataset._title(), split, number.images, number.pids, len(np.unique(camids[inside])),
                         int(np.isin(pids[inside], dataset.NON_IDENTITIES).sum()) if has_labels else 0,
                         unlabelled=0 if has_labels else number.images)
        if split in published:
            part.published_images, part.published_identities = published[split]
        parts.append(part)
    return parts


def _count_findings(dataset: ReIDDataset, parts: Sequence[PartCount], guessed: bool) -> Iterable[Finding]:
    differences = dataset.count_differences()
    known = [part for part in parts if part.published_images is not None]
    # A copy of the dataset that lacks some files has about as many images as it in some part; other data has not.
    near = any(part.published_images / 2 <= part.images <= part.published_images * 2 for part in known)
    if differences and guessed and not near:
        return [Finding('other-count', f'{"; ".join(differences)}: taken for another dataset in the layout of '
                        f'{type(dataset).__name__} (--type {type(dataset).__name__} makes this an error)')]
    return [Finding('count', difference) for difference in differences]


def _paths(dataset: ReIDDataset) -> Iterable[tuple[str, int]]:
    return ((dataset.get_data_info(row)['img_path'], row) for row in range(len(dataset)))


def _one_line(text: str) -> str:
    return text.replace('\\', '\\\\').replace('\n', '\\n').replace('\t', '\\t') if set(text) & set('\n\t') else text
