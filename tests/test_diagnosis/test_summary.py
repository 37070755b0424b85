"""Similarity by score: bins of equally many, and the rank correlation."""
import numpy as np
import pytest

from mmpose_mspn.diagnosis.summary import calibration


def test_bins_of_equally_many_by_rising_score():
    found = calibration(np.arange(20)[::-1] / 20, np.arange(20)[::-1] / 40)
    assert [entry['count'] for entry in found['bins']] == [2] * 10
    assert found['bins'][0] == dict(count=2, score_from=0., score_to=.05, score=.025, similarity=.0125)
    assert found['rank_correlation'] == pytest.approx(1)


def test_scores_that_fall_with_quality():
    assert calibration(np.arange(5.), -np.arange(5.))['rank_correlation'] == pytest.approx(-1)


@pytest.mark.parametrize('scores, similarity', [([], []), ([.5], [.5]), ([.5, .5], [.1, .9]), ([.1, .9], [.5, .5])])
def test_where_no_order_can_be_told(scores, similarity):
    found = calibration(np.array(scores), np.array(similarity))
    assert found['rank_correlation'] is None and sum(entry['count'] for entry in found['bins']) == len(scores)
