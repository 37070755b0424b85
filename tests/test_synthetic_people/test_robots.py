"""Drawn people as robots: fewer keypoints, in a file as a labeling tool might leave it."""
import json
import sys

import pytest

from mmpose_mspn.synthetic_people.robots import LEFT_OUT, write_robots
from mmpose_mspn.utils.errors import UserError
from tests.tools import load_tool

KEYPOINTS = ('right_ankle', 'left_knee', 'right_knee')


def test_the_tool_writes_robots_beside_the_people(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['make_synthetic.py', str(tmp_path), '--train', '2', '--val', '1', '--workers',
                                      '1', '--robots', 'foot=right_ankle', *KEYPOINTS[1:]])
    load_tool('make_synthetic').main()
    people = json.loads((tmp_path / 'annotations/person_keypoints_train2017.json').read_text())
    robots = json.loads((tmp_path / 'robots_train.json').read_text())
    # COCO counts ankles and knees 16 and 17, 14 and 15; of its bones, only right knee to right ankle is left.
    assert robots['categories'] == [dict(id=7, name='robot', keypoints=['foot', 'left_knee', 'right_knee'],
                                        skeleton=[[1, 3]])]
    assert robots['images'] == people['images'] and len(robots['annotations']) == len(people['annotations'])
    for robot, person in zip(robots['annotations'], people['annotations']):
        values = person['keypoints']
        assert robot['keypoints'] == values[48:51] + values[39:42] + values[42:45]
        assert robot['category_id'] == 7 and robot['bbox'] == person['bbox'] and not set(LEFT_OUT) & set(robot)
    assert len(json.loads((tmp_path / 'robots_val.json').read_text())['images']) == 1
    # The first images only, with another name for a keypoint.
    path = write_robots(tmp_path / 'annotations/person_keypoints_train2017.json', tmp_path / 'one.json', KEYPOINTS, 1,
                        dict(left_knee='knee'))
    one = json.loads(path.read_text())
    assert one['categories'][0]['keypoints'] == ['right_ankle', 'knee', 'right_knee']
    assert {entry['image_id'] for entry in one['annotations']} == {image['id'] for image in one['images']}
    assert len(one['images']) == 1


@pytest.mark.parametrize('keypoints, got', [(['tip'], 'tip'), (['nose', 'nose'], 'nose'), ([], 'none')])
def test_keypoints_that_robots_cannot_have(keypoints, got, tmp_path):
    with pytest.raises(UserError, match=f'must be different ones of nose, .* got {got}'):
        write_robots(tmp_path / 'none.json', tmp_path / 'out.json', keypoints)
