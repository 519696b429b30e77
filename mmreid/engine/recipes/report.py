"""A recipe as text: its plan, and what came out."""

from collections.abc import Mapping, Sequence
from typing import Any, Dict, List, Optional

from .recipe import Recipe, Stage
from .state import RecipeState

SHOWN_METRICS = ('mAP', 'rank-1')


def plan_text(recipe: Recipe, state: RecipeState, data_lines: Mapping[str, str]) -> str:
    """What is going to happen: the stages in running order, what they start from and the data they see."""
    lines = [f'{recipe.name}: {len(recipe)} stage{"s" if len(recipe) > 1 else ""} in {state.folder}']
    for number, stage in enumerate(recipe, start=1):
        status = state.stages.get(stage.name, {}).get('status')
        note = {'finished': ' (finished, skipped)', 'trained': ' (trained, to be evaluated)',
                'running': ' (goes on)'}.get(status, '')
        lines.append(f'{number}. {stage.name}: {stage.config.parent.name}/{stage.config.name}, {_sources(stage)}{note}')
        if stage.name in data_lines:
            lines.append(f'   {data_lines[stage.name]}')
    return '\n'.join(lines)


def results_table(state: RecipeState) -> str:
    """A Markdown table with a row for each stage that was begun."""
    entries = state.stages
    columns = list(dict.fromkeys(key for entry in entries.values() for key in entry.get('metrics') or {}
                                 if key.rsplit('/', 1)[-1] in SHOWN_METRICS))
    rows = [['stage', 'config', 'starts from', 'teacher', 'trained for', *columns, 'minutes']]
    for name, entry in entries.items():
        metrics = entry.get('metrics') or {}
        rows.append([
            name, entry['config'], _short(entry['init_from']), _short(entry['teacher_from']),
            _length(entry), *(f'{metrics[key]:.2f}' if key in metrics else '-' for key in columns),
            f'{entry["seconds"] / 60:.1f}' if 'seconds' in entry else entry['status']])
    return _markdown(rows)


def report_text(state: RecipeState) -> str:
    """The content of ``recipe.md``: results and lineage."""
    lines = [f'# {state.content["recipe"]}', '', f'Written by `tools/train_recipe.py {state.content["file"]}`. Metrics '
             'are percentages, of the last validation of each stage, or of its best checkpoint where that is handed '
             'on.', '', results_table(state), '', '## Lineage', '']
    for name, entry in state.stages.items():
        lines += [f'* **{name}** ({_file(entry.get("checkpoint")) if "checkpoint" in entry else entry["status"]})',
                  *(f'  * {text}' for text in _lineage(entry))]
    return '\n'.join(lines) + '\n'


def _lineage(entry: Dict[str, Any]) -> List[str]:
    texts = []
    if entry['init_from'] is None:
        texts.append('starts as its config says')
    else:
        what = ', '.join(entry['carry']) if entry['carry'] else 'all that fits'
        texts.append(f'starts from {what} of {_short(entry["init_from"])} ({_file(entry["init_from"])})')
    if entry['teacher_from'] is not None:
        texts.append(f'taught by {_short(entry["teacher_from"])} ({_file(entry["teacher_from"])})')
    for change in entry.get('changes', []):
        texts.append(f'went on with another config at start {change["start"]}: {"; ".join(change["what"])}')
    if 'versions' in entry:
        texts.append(', '.join(f'{package} {version}' for package, version in entry['versions'].items()))
    return texts


def _sources(stage: Stage) -> str:
    if stage.init_from is None:
        text = 'starts as its config says'
    else:
        text = f'starts from {", ".join(stage.carry) if stage.carry else "all that fits"} of {stage.init_from}'
    if stage.teacher_from is not None:
        text += f', taught by {stage.teacher_from}'
    return text + (', hands on its best checkpoint' if stage.checkpoint == 'best' else '')


def _length(entry: Dict[str, Any]) -> str:
    if not entry.get('iterations'):
        return '-'
    return f'{entry["epochs"]} epochs' if entry.get('epochs') else f'{entry["iterations"]:,} iterations'


def _short(source: Optional[Dict[str, Any]]) -> str:
    return '-' if source is None else source['stage'] or source['path']


def _file(source: Dict[str, Any]) -> str:
    return f'`{source["path"]}`, sha256 {source["sha256"][:12]}'


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ['| ' + ' | '.join(cell.ljust(width) for cell, width in zip(row, widths)) + ' |' for row in rows]
    return '\n'.join([lines[0], '|' + '|'.join('-' * (width + 2) for width in widths) + '|', *lines[1:]])
