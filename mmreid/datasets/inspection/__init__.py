"""Examine datasets before a long training: what is in them, and what is wrong with them.

:func:`inspect_datasets` does it all; the parts work alone: :func:`recognise_layout` guesses the reader of a folder,
:func:`read_facts` reads the files, the ``find_*`` functions of :mod:`.findings` judge records and files.
"""

from .files import FileFacts, read_facts
from .findings import ERRORS, NOTES, Finding, Record, find_all, size_histogram
from .folders import find_in_folder, guess_camera_pattern
from .inspector import (
    Inspection,
    PartCount,
    build_datasets,
    inspect_datasets,
    list_records,
    part_counts,
    without_overlay,
)
from .layouts import Layout, dataset_splits, recognise_layout

__all__ = [
    'ERRORS', 'NOTES', 'FileFacts', 'Finding', 'Inspection', 'Layout', 'PartCount', 'Record', 'build_datasets',
    'dataset_splits', 'find_all', 'find_in_folder', 'guess_camera_pattern', 'inspect_datasets', 'list_records',
    'part_counts', 'read_facts', 'recognise_layout', 'size_histogram', 'without_overlay'
]
