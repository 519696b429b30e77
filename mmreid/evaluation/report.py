"""The result of an evaluation as a table, as a file, and as metrics for the log."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

from mmreid.utils.checkpoint import write_text
from mmreid.utils.memory import Cost
from mmreid.version import __version__

from .functional import Protocol, ProtocolResult
from .tables import text_table

STD = '-std'


@dataclass
class RetrievalReport:
    """Results under several protocols, how they came about, and what that took.

    ``num_gallery`` counts all gallery images, ``num_ranked`` those that post-processing left to be ranked. ``source``
    says what the features are from (files, config, checkpoint).
    """

    protocols: dict[str, Protocol]
    results: dict[str, ProtocolResult]
    metric: str
    post_processing: list[str]
    num_queries: int
    num_gallery: int
    num_ranked: int
    device: str = 'cpu'
    stages: dict[str, Cost] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """``<protocol>/<metric>`` in percent."""
        return {f'{name}/{key}': value for name, result in self.results.items()
                for key, value in result.metrics.items()}

    def text(self) -> str:
        """Table of the results, what was dropped and why, and a table of the stages."""
        gallery = f'{self.num_gallery:,}' if self.num_ranked == self.num_gallery else \
            f'{self.num_ranked:,} of {self.num_gallery:,}'
        lines = ['Retrieval results in %; queries: with a match / all; gallery: images, of which the junk is dropped',
                 self._result_table(),
                 f'post-processing: {", ".join(self.post_processing) or "none"}; {gallery} gallery images ranked on '
                 f'{self.device}']
        lines += [f'{name} {protocol.describe()}; {self._trials(name)}{self.results[name].exclusions.text()}'
                  for name, protocol in self.protocols.items()]
        if self.stages:
            lines.append(self._stage_table())
        return '\n'.join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything, in plain types."""
        return dict(
            mmreid_version=__version__, date=time.strftime('%Y-%m-%d %H:%M:%S'), source=self.source,
            metric=self.metric, post_processing=self.post_processing,
            num_queries=self.num_queries, num_gallery=self.num_gallery, num_ranked=self.num_ranked,
            device=self.device,
            protocols={name: dict(
                summary=self.protocols[name].describe(), draws=_draws(self.protocols[name]),
                metrics=result.metrics, num_queries=result.num_queries,
                num_valid_queries=result.num_valid_queries, num_draws=result.num_draws,
                excluded=asdict(result.exclusions), cmc=result.curve.tolist())
                for name, result in self.results.items()},
            stages=[dict(name=name, **asdict(cost)) for name, cost in self.stages.items()])

    def write(self, path: Union[str, Path]) -> None:
        """Write :meth:`to_dict` as JSON."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_text(json.dumps(self.to_dict(), indent=1) + '\n', path)

    def _result_table(self) -> str:
        scores = list(dict.fromkeys(key for result in self.results.values() for key in result.metrics
                                    if not key.endswith(STD)))
        rows = []
        for name, result in self.results.items():
            junk = result.exclusions.junk_images
            rows.append([name, self.metric, f'{result.num_valid_queries}/{result.num_queries}', str(self.num_ranked),
                         str(junk)] + [_cell(result.metrics, key) for key in scores])
        return text_table(['protocol', 'metric', 'queries', 'gallery', 'junk', *scores], rows)

    def _trials(self, name: str) -> str:
        draws = self.results[name].num_draws
        return '' if draws is None else f'mean ± standard deviation over {draws} trials; '

    def _stage_table(self) -> str:
        rows = [[name, f'{cost.seconds:.1f}', _megabytes(cost.peak_bytes), _megabytes(cost.peak_extra_bytes)]
                for name, cost in self.stages.items()]
        return text_table(['stage', 'seconds', 'peak MB', 'of which new'], rows)


def _cell(metrics: dict[str, float], key: str) -> str:
    if key not in metrics:
        return ''
    deviation = metrics.get(f'{key}{STD}')
    return f'{metrics[key]:.2f}' + ('' if deviation is None else f' ± {deviation:.2f}')


def _draws(protocol: Protocol) -> Optional[dict[str, Any]]:
    return None if protocol.draws is None else asdict(protocol.draws)


def _megabytes(size: Any) -> str:
    return 'n/a' if size is None else f'{size / 1e6:,.0f}'
