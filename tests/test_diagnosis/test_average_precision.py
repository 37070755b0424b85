"""AP and AR equal the COCO API's, of data with crowds, ties, unlabeled people and crowded images."""
import numpy as np
import pytest
from xtcocotools.cocoeval import COCOeval

from mmpose_mspn.diagnosis.average_precision import average_precision
from mmpose_mspn.diagnosis.figures import AREAS, parts

from .planted_people import COCO, HANDS, Planted, coco_evaluation, coco_stats, load


def random_data(keypoints, seed, images=60):
    """People anywhere, with up to 25 predictions an image, rounded scores that tie, and images without anybody."""
    draw = np.random.default_rng(seed)
    count = len(keypoints)
    planted = Planted(keypoints)
    for _ in range(images):
        image = planted.image()
        for _ in range(draw.integers(0, 5)):
            size = draw.uniform(20, 300, 2)
            place = draw.uniform(0, 300, 2)
            points = place + draw.uniform(0, 1, (count, 2)) * size
            visible = draw.choice([0, 1, 2], count, p=[.3, .2, .5]) * (draw.random() > .1)
            planted.annotations.append(dict(
                id=len(planted.annotations) + 1, image_id=image, category_id=1, bbox=[*place, *size],
                area=size.prod() * draw.uniform(.3, .8), iscrowd=int(draw.random() < .08),
                num_keypoints=int((visible > 0).sum()),
                keypoints=np.concatenate([points, visible[:, None]], 1).ravel().tolist()))
            for _ in range(draw.integers(0, 8)):
                off = np.sqrt(size.prod()) * draw.choice([0, .01, .05, .1, .3])
                planted.add_result(image, points + draw.normal(0, 1, (count, 2)) * off, round(draw.random(), 1))
        for _ in range(draw.integers(0, 2)):
            planted.add_result(image, draw.uniform(0, 400, (count, 2)), round(draw.random(), 1))
    planted.results[0]['keypoints'] = [0.] * (3 * count)  # no keypoint scores above 0: passed over
    return planted


@pytest.mark.parametrize('keypoints', [COCO, HANDS], ids=['17', '6'])
@pytest.mark.parametrize('use_area', [True, False])
@pytest.mark.parametrize('seed', range(3))
def test_equals_the_coco_api(keypoints, use_area, seed, tmp_path):
    planted = random_data(keypoints, seed)
    truth, predictions = load(planted, tmp_path, use_area)
    stats = coco_stats(coco_evaluation(planted, tmp_path, use_area))
    found = average_precision(truth, predictions, keypoints)
    assert 0.05 < found.ap < 0.95
    assert [found.ap, found.ap50, found.ap75, found.ar] == pytest.approx(stats[[0, 1, 2, 5]], abs=1e-12)
    for name, ap, ar in (('medium', 3, 8), ('large', 4, 9)):
        of_size = average_precision(truth, predictions, keypoints, area_range=AREAS[name])
        assert [of_size.ap, of_size.ar] == pytest.approx(stats[[ap, ar]], abs=1e-12)


@pytest.mark.parametrize('name', ['eye', 'ankle'])
def test_a_part_is_a_file_in_which_nothing_else_is_labeled(name, tmp_path):
    planted = random_data(COCO, 5)
    mask = parts(COCO)[name]
    truth, predictions = load(planted, tmp_path / 'whole')
    found = average_precision(truth, predictions, COCO, among=mask)
    for annotation in planted.annotations:
        points = np.array(annotation['keypoints']).reshape(-1, 3)
        points[~mask, 2] = 0
        annotation['keypoints'] = points.ravel().tolist()
    stats = coco_stats(coco_evaluation(planted, tmp_path / 'part'))
    assert [found.ap, found.ar] == pytest.approx(stats[[0, 5]], abs=1e-12)


class Counting(COCOeval):
    """The COCO API, with people beside the counted ones ignored."""

    def _prepare(self):
        super()._prepare()
        for people in self._gts.values():
            for person in people:
                person['ignore'] = person['ignore'] or person['id'] not in self.counted


def test_people_who_are_not_counted_are_ignored_in_the_images_of_those_who_are(tmp_path):
    planted = random_data(COCO, 7)
    truth, predictions = load(planted, tmp_path)
    counted = np.random.default_rng(0).random(len(truth)) < .3
    found = average_precision(truth, predictions, COCO, counted=counted, own_images=True)
    evaluation = coco_evaluation(planted, tmp_path, kind=Counting)
    evaluation.counted = set(truth.ids[counted].tolist())
    to_find = counted & ~truth.ignored
    evaluation.params.imgIds = sorted({truth.images[index].id for index in truth.image[to_find]})
    stats = coco_stats(evaluation)
    assert found.people == to_find.sum()
    assert [found.ap, found.ar] == pytest.approx(stats[[0, 5]], abs=1e-12)


def test_by_hand(tmp_path):
    """Two people, the higher score is of nobody: precision 1/2, then 2/3, at every threshold."""
    planted = Planted(COCO)
    image = planted.image()
    planted.add_result(image, np.full((17, 2), 1900.), .9)
    for side, score in enumerate((.8, .7)):
        planted.predict(planted.person(image, (100 + 500 * side, 100)), score=score)
    truth, predictions = load(planted, tmp_path)
    found = average_precision(truth, predictions, COCO)
    assert found.ap == pytest.approx(2 / 3, abs=1e-12) == coco_stats(coco_evaluation(planted, tmp_path))[0]
    assert found.ar == 1 and found.people == 2


def test_nobody_to_find_and_nothing_predicted(tmp_path):
    planted = Planted(COCO)
    planted.person(planted.image(), (100, 100))
    truth, predictions = load(planted, tmp_path)
    assert average_precision(truth, predictions, COCO).as_dict() == dict(people=1, ap=0, ap50=0, ap75=0, ar=0)
    nobody = average_precision(truth, predictions, COCO, counted=np.zeros(1, bool))
    assert nobody.as_dict() == dict(people=0, ap=None, ap50=None, ap75=None, ar=None)
