"""The whole way from features to a report."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

from mmreid.evaluation import (
    PROTOCOLS,
    Draws,
    Features,
    L2Normalize,
    Protocol,
    RetrievalData,
    evaluate_protocols,
    evaluate_ranking,
    evaluate_retrieval,
)
from mmreid.evaluation.functional import Labels

from .oracles import random_case


def make_data(metric='cosine', seed=0):
    case = random_case(seed)
    query, gallery = (Features(*(torch.from_numpy(np.asarray(case[place + split])) for place in (0, 2, 4)),
                               torch.arange(len(case[split]))) for split in range(2))
    return RetrievalData(query, gallery, metric), case


@pytest.fixture
def log(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize('trapezoid', [False, True])
def test_one_pass_equals_one_call_for_each_protocol(trapezoid):
    data, case = make_data()
    report = evaluate_retrieval(data, list(PROTOCOLS.values()), topk=(1, 3), trapezoid=trapezoid)
    for name in PROTOCOLS:
        expected = evaluate_ranking(*case, protocol=name, metric='cosine', topk=(1, 3), trapezoid=trapezoid)
        assert report.results[name].to_dict() == pytest.approx(expected, abs=1e-9)
    assert report.metrics()['nd/rank-3'] == report.results['nd'].metrics['rank-3']


def test_report(tmp_path):
    data, case = make_data()
    protocols = [PROTOCOLS['market1501'], PROTOCOLS['nd'], PROTOCOLS['cuhk03']]
    report = evaluate_retrieval(data, protocols, [L2Normalize(), L2Normalize()])
    text = report.text()
    pids, camids = np.asarray(case[3]), np.asarray(case[5])
    junk = int((pids == -1).sum())
    assert f'{junk} junk images of the gallery' in text
    own = np.mean([((pids == pid) & (camids == camid) & (pids != -1)).sum() for pid, camid in zip(case[2], case[4])])
    others = np.mean([((pids != pid) & (camids == camid) & (pids != -1)).sum() for pid, camid in zip(case[2], case[4])])
    assert f'{own:,.1f} images a query of its identity and camera' in text
    assert f'{others:,.1f} images a query of others from its camera' in text
    lost = [pid for pid, camid in zip(case[2], case[4]) if not ((pids == pid) & (camids != camid)).any()]
    absent = sum(not (pids == pid).any() for pid in lost)
    assert f'{len(lost) - absent} whose matches all share their camera' in text
    assert 'over 10 trials' in text and ' ± ' in text and 'L2Normalize (2)' in text

    report.write(tmp_path / 'new' / 'report.json')
    read = json.loads((tmp_path / 'new' / 'report.json').read_text())
    assert read['metric'] == 'cosine' and read['post_processing'] == ['L2Normalize'] * 2
    assert read['num_queries'] == len(case[0]) and read['num_gallery'] == len(case[1])
    for name, protocol in read['protocols'].items():
        assert protocol['metrics'] == report.results[name].metrics
        assert protocol['num_valid_queries'] == len(case[0]) - len(lost)
        assert protocol['excluded']['junk_images'] == junk
        curve = protocol['cmc']
        assert len(curve) == 50 and curve == sorted(curve) and curve[0] == pytest.approx(protocol['metrics']['rank-1'])
        assert curve[9] == pytest.approx(protocol['metrics']['rank-10'])
    assert read['protocols']['cuhk03']['num_draws'] == 10 and read['protocols']['nd']['num_draws'] is None
    assert [stage['name'] for stage in read['stages']] == ['L2Normalize (1)', 'L2Normalize (2)', 'ranking']


def test_exclusions_of_a_protocol_of_ones_own():
    data, case = make_data()
    doors = Protocol('doors', 'drops others of the camera', lambda same_pid, same_camid: ~same_pid & same_camid)
    found = evaluate_retrieval(data, [doors]).results['doors'].exclusions
    assert found.own_pairs == 0 and found.camera_pairs > 0 and found.camera_queries == 0


def test_zero_features(log):
    data, _ = make_data()
    data = data.map_feats(lambda feats: feats + 1)
    data.query.feats[[1, 4]] = 0
    evaluate_retrieval(data, [PROTOCOLS['all']])
    assert 'some query images are zero, 2 rows: 1, 4' in log.text
    with pytest.raises(ValueError, match='all 150 features of the gallery images are zero'):
        evaluate_retrieval(RetrievalData(data.query, data.gallery.with_feats(data.gallery.feats * 0)),
                           [PROTOCOLS['all']])


def test_missing_cameras():
    data, _ = make_data()
    query, gallery = (Features(split.feats, split.pids, None, split.sample_idx) for split in (data.query, data.gallery))
    data = RetrievalData(query, gallery)
    evaluate_retrieval(data, [PROTOCOLS['all']])
    with pytest.raises(ValueError, match='protocol nd needs cameras, but query_camids and gallery_camids is missing; '
                                         'without cameras use the protocol: all'):
        evaluate_retrieval(data, [PROTOCOLS['all'], PROTOCOLS['nd']])


def test_protocols_of_one_name():
    labels = Labels(*(np.array(values) for values in ([1], [1], [1], [2])))
    for protocols in ([PROTOCOLS['nd']] * 2, []):
        with pytest.raises(ValueError, match='one or more of different names'):
            evaluate_protocols(lambda start, stop: np.zeros((1, 1)), labels, protocols)


@pytest.mark.parametrize('split', ['query', 'gallery'])
@pytest.mark.parametrize('field', ['pids', 'camids'])
def test_lengths_must_agree(split, field):
    data, _ = make_data()
    wrong = replace(getattr(data, split), **{field: getattr(getattr(data, split), field)[:-1]})
    with pytest.raises(ValueError, match=f'{split}_{field} must have .* rows as the features, got'):
        evaluate_retrieval(replace(data, **{split: wrong}), ['market1501'])


def test_reasons_of_a_protocol_that_draws():
    data, case = make_data()
    pids = sorted(set(case[2]))
    few = Protocol('few', 'drops the camera', PROTOCOLS['nd'].excludes, draws=Draws(num_draws=2, num_pids=2, seed=3))
    report = evaluate_retrieval(data, [few])
    result = report.results['few']
    left_out = result.exclusions.undrawn_queries
    assert 0 < left_out < len(case[2]) and f'{left_out} whose identity is in no trial' in report.text()
    assert result.num_valid_queries == (len(case[2]) - left_out - result.exclusions.absent_queries -
                                        result.exclusions.camera_queries)
    assert 'in 2 trials of at most 2 identities with queries, seed 3' in report.text()
    read = report.to_dict()['protocols']['few']
    assert read['draws'] == dict(num_draws=2, num_pids=2, seed=3, splits=None)
    assert read['excluded']['undrawn_queries'] == left_out
    lonely = replace(few, draws=Draws(splits=((int(pids[0]), ), )))  # seen by one camera only
    with pytest.raises(ValueError, match='in 1 given splits.* are in no trial; every positive of .* shares'):
        evaluate_retrieval(data, [lonely])


def test_a_step_must_keep_the_rows():
    data, _ = make_data()
    with pytest.raises(ValueError, match='40 images need as many features, got 39'):
        data.map_feats(lambda feats: feats[:39])
