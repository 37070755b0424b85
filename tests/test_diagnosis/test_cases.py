"""One record per person and per false positive, the worst first."""
from mmpose_mspn.diagnosis.cases import cases, worst
from mmpose_mspn.diagnosis.errors import diagnose

from .planted_people import COCO, crowd_of_errors, load, place_of


def records(tmp_path, planted):
    truth, predictions = load(planted, tmp_path)
    return cases(truth, predictions, diagnose(truth, predictions, COCO))


def test_everybody_has_a_record_with_the_planted_error(tmp_path):
    planted = crowd_of_errors(COCO, images=10)
    found = records(tmp_path, planted)
    assert [record['status'] for record in found] == ['missed'] * 2 + ['matched'] * 20 + ['false'] * 2
    oks = [record['oks'] for record in found[2:22]]
    assert oks == sorted(oks) and found[0]['oks'] is None
    for record in found[2:22]:
        annotation = next(one for one in planted.annotations if one['id'] == record['person'])
        assert record['image_id'] == annotation['image_id'] and record['file'] == f'{annotation["image_id"]}.jpg'
        assert record['kinds'] == planted.kinds[record['prediction']]
        assert sum(record['errors'].values()) == sum(kind not in (None, 'good') for kind in record['kinds'])
        assert record['truth'][5][:2] == place_of(annotation, 5).round(2).tolist()
        assert record['labeled'] == annotation['num_keypoints']
        assert (record['similarity'][0] is None) == (record['kinds'][0] is None)
    for record in found[22:]:
        assert record['person'] is None and record['errors'] is None and record['score'] == .95


def test_the_page_shows_some_of_every_kind(tmp_path):
    found = records(tmp_path, crowd_of_errors(COCO, images=10))
    shown = [record['status'] for record in worst(found, 10)]
    # 15 % of ten, rounded: two of each of the rare kinds.
    assert {status: shown.count(status) for status in set(shown)} == dict(matched=6, missed=2, false=2)
    assert len(worst(found, 1000)) == len(found) == 24
    assert len({record['id'] for record in worst(found, 1000)}) == 24
