"""Planted errors come back exactly, and correcting them gives the AP of files that were really corrected."""
import copy
import json

import numpy as np
import pytest

from mmpose_mspn.diagnosis.errors import ERRORS, KINDS, NO_KIND, diagnose, poorly_scored
from mmpose_mspn.diagnosis.figures import AveragePrecision, parts
from mmpose_mspn.diagnosis.summary import summarize

from .planted_people import (
    COCO,
    HANDS,
    PERSON,
    SETS,
    Planted,
    coco_evaluation,
    coco_stats,
    crowd_of_errors,
    distance,
    grid,
    load,
    place_of,
)


def summary(planted, folder):
    truth, predictions = load(planted, folder)
    found = diagnose(truth, predictions, planted.keypoints)
    return summarize(truth, predictions, planted.keypoints, AveragePrecision(planted.keypoints), found)


def coco_ap(planted, folder):
    """What the COCO API says of the files."""
    return coco_stats(coco_evaluation(planted, folder))[0]


@pytest.mark.parametrize('keypoints', SETS.values(), ids=SETS)
def test_planted_errors_come_back_as_an_exact_confusion_matrix(keypoints, tmp_path):
    planted = crowd_of_errors(keypoints, images=20)
    truth, predictions = load(planted, tmp_path)
    found = diagnose(truth, predictions, keypoints)
    confusion = np.zeros((len(KINDS), len(KINDS)), int)
    for row, number in enumerate(predictions.ids):
        for expected, code in zip(planted.kinds.get(number, []), found.kinds[row]):
            assert (expected is None) == (code == NO_KIND)
            if expected is not None:
                confusion[KINDS.index(expected), code] += 1
    assert (confusion == np.diag(np.diag(confusion))).all(), confusion
    # 40 people, one plant each: eight of a kind.
    assert np.diag(confusion)[1:].tolist() == [8, 8, 8, 8]
    assert found.false_positives.sum() == 2 and (found.prediction < 0).sum() == 2
    assert sorted(planted.results[number]['score'] for number in predictions.ids[found.false_positives]) == [.95, .95]


@pytest.mark.parametrize('keypoints', SETS.values(), ids=SETS)
def test_perfect_predictions_have_no_error(keypoints, tmp_path):
    planted = Planted(keypoints)
    for _ in range(3):
        image = planted.image()
        for side in range(3):
            planted.predict(planted.person(image, (100 + side * PERSON, 100)))
    found = summary(planted, tmp_path)
    assert found['figure'] == dict(name='AP', value=1.)
    assert {kind: found['errors'][kind] for kind in ERRORS} == dict.fromkeys(ERRORS, 0)
    assert found['errors']['good'] == 9 * len(keypoints)
    assert [found['counts'][name] for name in ('matched', 'missed', 'false', 'poorly_scored')] == [9, 0, 0, 0]
    assert all(entry['count'] == 0 or entry['name'] == 'all keypoints' for entry in found['corrections'])
    assert all(entry['gain'] == 0 for entry in found['corrections'])
    assert all(row['similarity'] == 1 and set(row['pck'].values()) == {1.} for row in found['keypoints'])


def really_corrected(planted, kinds, indices=None):
    """A copy whose files hold the true place of every planted error of these kinds."""
    changed = copy.deepcopy(planted)
    people = {annotation['image_id']: [] for annotation in changed.annotations}
    for annotation in changed.annotations:
        people[annotation['image_id']].append(annotation)
    for number, planted_kinds in planted.kinds.items():
        result = changed.results[number]
        points = np.array(result['keypoints']).reshape(-1, 3)
        # The plants move one keypoint: the person is the one on whom most others lie.
        person = max(people[result['image_id']], key=lambda one: (
            points[:, :2] == np.array(one['keypoints']).reshape(-1, 3)[:, :2]).all(1).sum())
        for index, kind in enumerate(planted_kinds):
            if kind in kinds and (indices is None or index in indices):
                points[index, :2] = place_of(person, index)
        result['keypoints'] = points.ravel().tolist()
    return changed


@pytest.mark.parametrize('keypoints', SETS.values(), ids=SETS)
def test_corrected_ap_is_that_of_a_file_really_corrected(keypoints, tmp_path):
    planted = crowd_of_errors(keypoints, images=15)
    # Several errors a person let AP differ by kind.
    for number, result in enumerate(planted.results[:10]):
        points = np.array(result['keypoints']).reshape(-1, 3)
        points[-1, 0] += distance(.7, keypoints.sigmas[-1])
        if planted.kinds[number][-1] == 'good':
            planted.kinds[number][-1] = 'jitter'
            result['keypoints'] = points.ravel().tolist()
    truth, predictions = load(planted, tmp_path / 'as it is')
    found = diagnose(truth, predictions, keypoints)
    entries = {entry['name']: entry for entry in summary(planted, tmp_path / 'summary')['corrections']}
    before = coco_ap(planted, tmp_path / 'before')

    def check(name, corrected):
        after = coco_ap(corrected, tmp_path / name)
        assert entries[name]['value'] == pytest.approx(after, abs=1e-12), name
        assert entries[name]['gain'] == pytest.approx(after - before, abs=1e-12)
        return after

    assert before < 1
    for kind in ERRORS:
        check(kind, really_corrected(planted, (kind, )))
    check('all keypoints', really_corrected(planted, ERRORS))

    without_missed = copy.deepcopy(planted)
    missed = set(truth.ids[found.prediction < 0].tolist())
    without_missed.annotations = [one for one in planted.annotations if one['id'] not in missed]
    assert check('missed people', without_missed) > before

    without_false = copy.deepcopy(planted)
    false = set(predictions.ids[found.false_positives].tolist())
    without_false.results = [one for number, one in enumerate(planted.results) if number not in false]
    assert check('false boxes', without_false) > before

    scored = copy.deepcopy(planted)
    for row, number in enumerate(predictions.ids):
        scored.results[number]['score'] = float(found.oks[row])
    check('poor scores', scored)


def test_a_part_corrected_is_that_of_a_file_really_corrected(tmp_path):
    planted = crowd_of_errors(COCO, images=15, seed=3)
    rows = {row['name']: row for row in summary(planted, tmp_path / 'summary')['parts']}
    before = coco_ap(planted, tmp_path / 'before')
    assert list(rows) == ['nose', 'eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle']
    for name, mask in parts(COCO).items():
        for label, kinds in (('miss', ('miss', )), ('all', ERRORS)):
            corrected = really_corrected(planted, kinds, np.flatnonzero(mask).tolist())
            after = coco_ap(corrected, tmp_path / f'{name}-{label}')
            assert rows[name]['gains'][label] == pytest.approx(after - before, abs=1e-12)


def test_the_nearest_place_names_the_error(tmp_path):
    """A keypoint between the other side and a neighbor belongs to whichever is nearer."""
    planted = Planted(HANDS)
    image = planted.image()
    person = planted.person(image, (100, 100))
    # The neighbor's left fin lies 30 px beside this person's right fin.
    neighbor = planted.person(image, place_of(person, 2) - grid(6)[1] + [30, 0])
    planted.predict(neighbor)
    right_fin = place_of(person, 2)
    for shift, kind in ((14., 'inversion'), (16., 'swap')):
        planted.results = planted.results[:1]
        planted.kinds.clear()
        planted.predict(person, {1: (kind, right_fin + [shift, 0])})
        truth, predictions = load(planted, tmp_path / kind)
        found = diagnose(truth, predictions, HANDS)
        row = int(np.flatnonzero(predictions.ids == 1)[0])
        assert KINDS[found.kinds[row, 1]] == kind


def test_the_published_rule_asks_for_the_nearest_place_first(tmp_path):
    """Left fins near both fins of a person, and near the fin of a neighbor."""
    planted = Planted(HANDS)
    for gap, shift in ((16., 9.), (20., 12.), (20., 9.), (40., 34.)):  # ks .85, .75, .85 and .10 to its own place
        person = planted.person(planted.image(), (300, 300))
        person['keypoints'][6:8] = [person['keypoints'][3] + gap, person['keypoints'][4]]
        planted.predict(person, {1: ('', place_of(person, 1) + [shift, 0])})
    image = planted.image()
    person = planted.person(image, (300, 300))
    planted.person(image, place_of(person, 1) - grid(6)[1] + [0, 20])
    planted.predict(person, {1: ('', place_of(person, 1) + [0, 12])})
    truth, predictions = load(planted, tmp_path)
    expected = dict(own=['good', 'jitter', 'good', 'inversion', 'jitter'],
                    published=['inversion', 'inversion', 'good', 'inversion', 'swap'])
    for rule, kinds in expected.items():
        found = diagnose(truth, predictions, HANDS, rule=rule)
        by_id = {number: KINDS[code] for number, code in zip(predictions.ids, found.kinds[:, 1])}
        assert [by_id[number] for number in range(5)] == kinds
        others = np.delete(found.kinds, 1, axis=1)
        assert (others == KINDS.index('good')).sum() == others.size


def test_limits_of_good_and_jitter(tmp_path):
    planted = Planted(COCO)
    image = planted.image()
    person = planted.person(image, (300, 300))
    sigma = COCO.sigmas[11]
    for similarity, kind in ((.851, 'good'), (.849, 'jitter'), (.501, 'jitter'), (.499, 'miss')):
        planted.results.clear()
        planted.predict(person, {11: (kind, place_of(person, 11) + [distance(similarity, sigma), 0])})
        truth, predictions = load(planted, tmp_path / str(similarity))
        found = diagnose(truth, predictions, COCO)
        assert KINDS[found.kinds[0, 11]] == kind
        assert found.similarity[0, 11] == pytest.approx(similarity, abs=1e-9)


def test_a_better_match_is_not_lost_to_a_bad_one_of_higher_score(tmp_path):
    """A stray prediction near someone must not take their place from the right one."""
    planted = Planted(COCO)
    image = planted.image()
    person = planted.person(image, (300, 300))
    truth_points = np.array(person['keypoints']).reshape(-1, 3)[:, :2]
    stray = truth_points + 400
    stray[:4] = truth_points[:4]  # OKS 4/17, above the second threshold of matching
    planted.add_result(image, stray, score=1.)
    planted.predict(person, score=.2)
    truth, predictions = load(planted, tmp_path)
    found = diagnose(truth, predictions, COCO)
    assert predictions.ids[found.prediction[0]] == 1 and found.oks[found.prediction[0]] == 1
    assert found.false_positives.tolist() == [True, False]


def test_duplicates_poor_scores_and_people_who_do_not_count(tmp_path):
    planted = Planted(COCO)
    image = planted.image()
    twice = planted.person(image, (100, 100))
    moved = {index: ('jitter', place_of(twice, index) + [distance(.6, COCO.sigmas[index]), 0]) for index in range(17)}
    planted.predict(twice, moved, score=.9)
    planted.predict(twice, score=.5)
    crowd = planted.person(image, (1600, 1600), [0] * 17, iscrowd=1)
    planted.add_result(image, grid(17) + np.array(crowd['bbox'][:2]), score=.7)
    truth, predictions = load(planted, tmp_path)
    found = diagnose(truth, predictions, COCO)
    assert poorly_scored(found, truth, predictions, COCO).tolist() == [0]
    counts = summary(planted, tmp_path)['counts']
    assert counts == dict(images=1, people=1, ignored=1, predictions=3, matched=1, missed=0, false=1, duplicates=1,
                          background=0, passed=1, poorly_scored=1)
    assert json.loads(json.dumps(counts)) == counts
