"""Scenes: the annotated keypoints, boxes and areas agree with the pixels that are drawn."""
import numpy as np
import pytest

from mmpose_mspn.synthetic_people import (
    KEYPOINT_NAMES,
    OBJECT,
    Build,
    Outfit,
    Part,
    Pose,
    compose,
    pose_figure,
    render_scene,
)


def standing(yaw, size=200, origin=(160, 128)):
    """A figure at attention with its arms slightly away from the body, in pixels."""
    build = Build.sample(np.random.default_rng(0))
    pose = Pose(yaw=yaw, arms=np.tile([0., 15, 0, 5], (2, 1)), legs=np.tile([0., 5, 0, 0], (2, 1)))
    return pose_figure(build, pose).place(size, np.array(origin))


def scene_of(*figures, occluded=0., seed=0):
    rng = np.random.default_rng(seed)
    outfits = [Outfit.sample(np.random.default_rng(2)) for _ in figures]
    return compose(rng, np.full((256, 320, 3), 128, np.uint8), list(figures), outfits, occluded)


def named(person):
    return dict(zip(KEYPOINT_NAMES, person.keypoints))


@pytest.fixture(scope='module')
def scenes():
    return [render_scene(np.random.default_rng([9, 9, index])) for index in range(80)]


def test_visibility_is_plausible(scenes):
    labels = np.concatenate([person.keypoints[:, 2] for scene in scenes for person in scene.people])
    share = np.bincount(labels.astype(int), minlength=3) / len(labels)
    assert .02 < share[0] < .20 and .08 < share[1] < .30 and .6 < share[2] < .9, share
    assert {len(scene.people) for scene in scenes} >= {1, 2, 3, 4}


def test_labeled_keypoints_lie_in_image_and_box(scenes):
    for scene in scenes:
        height, width = scene.owner.shape
        for person in scene.people:
            points = person.keypoints[person.keypoints[:, 2] > 0][:, :2]
            assert (points >= 0).all() and (points <= (width - 1, height - 1)).all()
            seen = person.keypoints[person.keypoints[:, 2] == 2][:, :2]
            x, y, w, h = person.box
            assert (seen >= (x - .5, y - .5)).all() and (seen <= (x + w, y + h)).all()


def test_box_and_area_cover_what_is_shown(scenes):
    for scene in scenes:
        for person in scene.people:
            rows, columns = np.nonzero(scene.owner == person.owner)
            x, y, width, height = person.box
            assert x <= columns.min() and columns.max() < x + width <= scene.owner.shape[1]
            assert y <= rows.min() and rows.max() < y + height <= scene.owner.shape[0]
            assert person.area == len(rows)


def test_box_is_tight_for_a_person_whom_nothing_hides():
    scene = scene_of(standing(0))
    person, = scene.people
    rows, columns = np.nonzero(scene.owner)
    assert person.box == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


def test_visible_keypoints_are_shown_and_hidden_ones_covered(scenes):
    """For arms and legs, whose joints have parts of their own, both directions hold exactly."""
    limbs = {'elbow': ('UPPER_ARM', 'FOREARM'), 'wrist': ('FOREARM', 'HAND'),
             'knee': ('THIGH', 'SHIN'), 'ankle': ('SHIN', 'FOOT')}
    counts = {1: 0, 2: 0}
    for scene in scenes:
        for person in scene.people:
            for name, (x, y, visibility) in named(person).items():
                side, _, kind = name.rpartition('_')
                if kind not in limbs or not visibility:
                    continue
                pixel = int(np.rint(y)), int(np.rint(x))
                own = {Part[f'{side.upper()}_{part}'] for part in limbs[kind]}
                shown = scene.owner[pixel] == person.owner and scene.parts[pixel] in own
                assert shown == (visibility == 2), (name, scene.owner[pixel], scene.parts[pixel])
                counts[visibility] += 1
    assert min(counts.values()) > 50, counts


@pytest.mark.parametrize('yaw, sign', [(0, 1), (20, 1), (180, -1), (160, -1)])
def test_left_is_the_persons_left(yaw, sign):
    keypoints = named(scene_of(standing(yaw)).people[0])
    for kind in ('eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle'):
        left, right = keypoints[f'left_{kind}'], keypoints[f'right_{kind}']
        assert not (left[2] and right[2]) or sign * (left[0] - right[0]) > 0, kind
    assert keypoints['left_shoulder'][2] and keypoints['right_shoulder'][2]


def test_the_face_is_visible_from_the_front_only():
    front, back = (named(scene_of(standing(yaw)).people[0]) for yaw in (0, 180))
    for name in ('nose', 'left_eye', 'right_eye'):
        assert front[name][2] == 2 and back[name][2] < 2
    for name in KEYPOINT_NAMES[5:]:
        assert front[name][2] == back[name][2] == 2, name


@pytest.mark.parametrize('yaw, near, far', [(90, 'right', 'left'), (-90, 'left', 'right')])
def test_side_view_hides_the_far_side(yaw, near, far):
    keypoints = named(scene_of(standing(yaw)).people[0])
    for kind in ('eye', 'ear', 'shoulder'):
        assert keypoints[f'{near}_{kind}'][2] == 2 and keypoints[f'{far}_{kind}'][2] < 2, kind


def test_a_person_in_front_hides_the_one_behind():
    scene = scene_of(standing(0), standing(0, size=210))
    front = [person for person in scene.people if person.owner == 2]
    behind = [person for person in scene.people if person.owner == 1]
    assert all((person.keypoints[5:, 2] == 2).all() for person in front) and front
    assert all((person.keypoints[5:, 2] < 2).sum() >= 8 for person in behind)


def test_an_object_hides_keypoints():
    hidden = 0
    for seed in range(10):
        scene = scene_of(standing(0), occluded=1., seed=seed)
        for x, y, visibility in scene.people[0].keypoints:
            if visibility:
                covered = scene.owner[int(np.rint(y)), int(np.rint(x))] == OBJECT
                assert covered == (visibility == 1)
                hidden += covered
    assert hidden


def test_keypoints_outside_the_image_are_not_labeled():
    person, = scene_of(standing(0, origin=(160, 250))).people
    keypoints = named(person)
    for name in ('left_knee', 'right_knee', 'left_ankle', 'right_ankle'):
        assert (keypoints[name] == 0).all()
    assert person.box[1] + person.box[3] == 256


def test_a_person_outside_the_image_is_not_annotated():
    assert scene_of(standing(0, origin=(900, 128))).people == []
