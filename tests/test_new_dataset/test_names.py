"""Flip pairs from names: all that are there, and never a false one."""
from pathlib import Path
from typing import Set

import mmpose
import pytest
from mmengine.config import Config
from mmengine.utils import digit_version

from mmpose_mspn.new_dataset.names import find_flip_pairs, words_of

METAINFO = sorted(Path(mmpose.__file__).parent.glob('.mim/configs/_base_/datasets/*.py'))
# Their names number the keypoints, of the face or of clothes, so no name tells which are pairs.
NUMBERED = {
    '300vw', '300w', 'aflw', 'coco_wholebody', 'coco_wholebody_face', 'coco_wholebody_openpose', 'cofw', 'deepfashion2',
    'h3wb', 'halpe', 'lapa', 'ubody2d', 'ubody3d', 'wflw'
}
# They have no pairs: hands of one side, a horse by its near and off side, and a face whose metainfo names none.
WITHOUT_PAIRS = {
    '300wlp', 'coco_wholebody_hand', 'freihand2d', 'horse10', 'interhand2d', 'onehand10k', 'panoptic_hand2d', 'rhd2d'
}


def keypoints_of(path: Path) -> dict:
    return Config.fromfile(str(path)).dataset_info['keypoint_info']


def true_pairs(keypoints: dict) -> Set[frozenset]:
    return {frozenset((point['name'], point['swap'])) for point in keypoints.values()
            if point.get('swap') and point['swap'] != point['name']}


def test_mmpose_ships_as_many_files_as_when_this_was_written():
    of_1_3_0 = 54
    added_later = digit_version(mmpose.__version__) >= digit_version('1.3.2')  # 300vw.py
    assert len(METAINFO) == of_1_3_0 + added_later


@pytest.mark.parametrize('path', METAINFO, ids=lambda path: path.stem)
def test_metainfo_of_mmpose(path):
    keypoints = keypoints_of(path)
    names = [point['name'] for point in keypoints.values()]
    found = find_flip_pairs(names)
    pairs = {frozenset(pair) for pair in found.pairs}
    assert pairs <= true_pairs(keypoints), 'a false pair'
    assert (pairs != true_pairs(keypoints)) == (path.stem in NUMBERED)
    # Where pairs were missed a flip would swap too few keypoints, and there is a doubt that keeps it off.
    assert bool(found.doubts) >= (path.stem in NUMBERED)


def test_all_pairs_are_found_in_at_least_thirty_sets_that_have_some():
    complete = [path for path in METAINFO if path.stem not in NUMBERED | WITHOUT_PAIRS]
    assert len(complete) == 33 and all(true_pairs(keypoints_of(path)) for path in complete)
    assert not any(find_flip_pairs([point['name'] for point in keypoints_of(path).values()]).doubts
                   for path in complete)


@pytest.mark.parametrize('left, right', [
    ('left_eye', 'right_eye'), ('eye_left', 'eye_right'), ('l_eye', 'r_eye'), ('eye_l', 'eye_r'), ('L_Eye', 'R_Eye'),
    ('leftEye', 'rightEye'), ('eyeLeft', 'eyeRight'), ('EyeL', 'EyeR'), ('LEye', 'REye'), ('Left Eye', 'Right Eye'),
    ('eye.left.1', 'eye.right.1'), ('legL1', 'legR1'), ('lefteye', 'righteye'), ('eyeleft', 'eyeright'), ('L', 'R'),
    ('LEFT-EYE', 'RIGHT-EYE'), ('left_eye_left_corner', 'right_eye_right_corner'), ('öse_links_left', 'öse_links_right')
])
def test_spellings(left, right):
    assert find_flip_pairs(['nose', right, left]) == (((left, right), ), ())


@pytest.mark.parametrize('names', [
    ('lamp', 'ramp'), ('lace_1', 'race_1'), ('bright', 'blight'), ('upright', 'top'), ('FL', 'FR', 'RL', 'RR'),
    ('left_eye', 'right_ear'), ('left_eye_left_corner', 'right_eye_left_corner'), ('eye_left', 'right_eye'),
    ('左目', '右目'), ('left_eye', 'l_eye', 'right_eye'), ('near_knee', 'off_knee'),
])
def test_names_that_are_no_pair(names):
    assert find_flip_pairs(names).pairs == ()


@pytest.mark.parametrize('names, doubts', [
    (('left_tag', 'nose'), ('left_tag', )),
    (('F_L', 'F_R', 'R_L', 'R_R'), ('R_L', 'R_R')),
    (('LF_hoof', 'RF_hoof', 'tail'), ('LF_hoof=RF_hoof', )),
    (('lamp', 'ramp'), ('lamp=ramp', )),
    (('face-0', 'face-1', 'face-2', 'face-3', 'chin'), ('face-0 … (4 of its kind)', )),
    (('tail1', 'tail2', 'tail3', 'upright', 'bright', 'copyright'), ()),
])
def test_doubts_about_keypoints_without_a_pair(names, doubts):
    assert find_flip_pairs(names).doubts == doubts


def test_words():
    assert words_of('HTMLLeftEye_v2') == ('html', 'left', 'eye', 'v', '2')
    assert words_of('Élan vital') == ('élan', 'vital') and words_of('左目') == ('左目', ) and words_of('-') == ()
