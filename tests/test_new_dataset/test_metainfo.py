"""Category, sigmas and metainfo: COCO's own entry gives mmpose's coco.py, others what the user can see and change."""
import pytest
from mmengine.config import Config
from mmpose.datasets.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.data_check.coco import read_coco
from mmpose_mspn.new_dataset.coco_file import LISTS, find_category
from mmpose_mspn.new_dataset.metainfo import build_metainfo, choose_sigmas, metainfo_text, official_upper_ids
from mmpose_mspn.new_dataset.names import choose_pairs, find_flip_pairs, parse_map
from mmpose_mspn.synthetic_people.coco import header


def file_of(*categories) -> dict:
    return dict(images=[], annotations=[], categories=list(categories))


def test_cocos_category_gives_mmposes_metainfo(tmp_path):
    """The synthetic people's category entry is COCO's."""
    category = find_category(file_of(*header({})['categories']), 'coco.json')
    names = category.keypoints
    metainfo = build_metainfo(category, find_flip_pairs(names).pairs, choose_sigmas(names).values)
    (tmp_path / 'metainfo.py').write_text(metainfo_text(metainfo))
    written = parse_pose_metainfo(Config.fromfile(str(tmp_path / 'metainfo.py')).dataset_info)
    expected = parse_pose_metainfo(CocoDataset.METAINFO)
    for key in ('keypoint_id2name', 'keypoint_name2id', 'flip_pairs', 'flip_indices', 'skeleton_links',
                'upper_body_ids', 'lower_body_ids'):
        assert written[key] == expected[key], key
    assert written['sigmas'].tolist() == expected['sigmas'].tolist()
    # The upper half of the official crops, as configs/_base_/datasets/coco_256x192.py has it.
    assert official_upper_ids(names) == tuple(range(13))


def test_the_category_is_the_one_with_keypoints_whatever_its_id():
    dog = dict(id=7, name='dog', keypoints=['a', 'b'], skeleton=[[1, 2]])
    found = find_category(file_of(dict(id=1, name='lead'), dog), 'dogs.json')
    assert (found.id, found.name, found.keypoints, found.skeleton) == (7, 'dog', ('a', 'b'), ((0, 1), ))


def test_skeletons_that_count_from_0_are_recognized():
    found = find_category(file_of(dict(id=1, name='dog', keypoints=['a', 'b'], skeleton=[[0, 1]])), 'dogs.json')
    assert found.skeleton == ((0, 1), )


def test_several_categories_are_asked_for_by_name():
    categories = [dict(id=number, name=name, keypoints=['a']) for number, name in enumerate(('dog', 'cat'))]
    content = dict(file_of(*categories), annotations=[dict(category_id=1)])
    with pytest.raises(ValueError, match=r'2 categories with keypoints, dog \(1 keypoints, 0 annotations\), cat \(1 '
                                         r'keypoints, 1 annotations\): choose one with --category NAME'):
        find_category(content, 'pets.json')
    assert find_category(content, 'pets.json', 'cat').id == 1
    with pytest.raises(ValueError, match='0 categories with keypoints called cow'):
        find_category(content, 'pets.json', 'cow')


@pytest.mark.parametrize('category, message', [
    (dict(id=1, name='dog'), 'no category of pets.json has keypoints; its categories are dog'),
    (dict(id=1, name='dog', keypoints=['a', 'a']), 'share the name a: give each keypoint a name of its own'),
    (dict(id=1, name='dog', keypoints=['a', '']), 'must be a list of names'),
    (dict(id=1, name='dog', keypoints=['a', 'b'], skeleton=[[1, 3]]),
     r'link \[1, 3\] .* must be two numbers .* 1 to 2'),
    (dict(id=1, name='dog', keypoints=['a', 'b'], skeleton=[1, 2]), 'link 1 in the skeleton'),
    (dict(id=1, name='dog', keypoints=['a', 'b'], skeleton=[[0, 2]]), r'link \[0, 2\] .* 0 to 1'),
])
def test_categories_that_are_not_usable(category, message):
    with pytest.raises(ValueError, match=message):
        find_category(file_of(category), 'pets.json')


@pytest.mark.parametrize('content', ['[]', '{"images": []}', '{"images": [], "annotations": [], "categories": {}}'])
def test_files_of_another_format(content, tmp_path):
    (tmp_path / 'a.json').write_text(content)
    with pytest.raises(ValueError, match="is not in COCO's format"):
        read_coco('the annotation file', tmp_path / 'a.json', LISTS)


# ---------------------------------------------------------------- sigmas and half bodies


def test_sigmas_of_coco_for_its_names_in_any_spelling_and_one_default():
    found = choose_sigmas(('L_Eye', 'tip', 'rightHip'))
    assert found == ((0.025, 0.05, 0.107), ('tip', ), 0.05)


@pytest.mark.parametrize('given, values, assumed', [
    (['0.1'], (0.025, 0.1), ('tip', )),
    (['0.1', '0.2'], (0.1, 0.2), ()),
    (['tip=0.3'], (0.025, 0.3), ()),
    (['0.1', 'left_eye=0.4'], (0.4, 0.1), ('tip', )),
])
def test_sigmas_that_are_given(given, values, assumed):
    found = choose_sigmas(('left_eye', 'tip'), given)
    assert found.values == values and found.assumed == assumed


@pytest.mark.parametrize('given, message', [
    (['0'], 'must be numbers between 0 and 1, got 0'), (['tip=x'], 'between 0 and 1, got tip=x'),
    (['1', '2', '3'], 'between 0 and 1'), (['.1', '.1', '.1'], 'takes one number .* 2 numbers .* got 3 numbers'),
    (['tap=.1'], '--sigmas tap=.1 names no keypoint of this dataset: they are left_eye, tip'),
])
def test_sigmas_that_are_not_usable(given, message):
    with pytest.raises(ValueError, match=message):
        choose_sigmas(('left_eye', 'tip'), given)


def test_half_bodies_need_the_half_of_every_keypoint():
    assert official_upper_ids(('left_wrist', 'R_Hip', 'left_knee')) == (0, 1)
    assert official_upper_ids(('left_wrist', 'tip')) is None


# ---------------------------------------------------------------- pairs and maps that are given


def test_given_pairs_go_before_those_of_names_and_settle_doubts():
    names = ('left_a', 'right_a', 'x', 'y', 'left_tag')
    assert not choose_pairs(names).can_flip
    found = choose_pairs(names, ['left_a=x'])
    assert found.pairs == (('left_a', 'x'), ) and found.from_names == 0 and found.can_flip
    found = choose_pairs(names, [])
    assert found.pairs == (('left_a', 'right_a'), ) and found.can_flip
    assert not choose_pairs(('a', 'b'), []).can_flip


@pytest.mark.parametrize('given, message', [
    (['x=z'], '--pairs takes NAME=NAME, got x=z; the names are x, y, a=b'), (['x'], 'got x;'),
    (['x=y', 'y=x'], '--pairs names x, y more than once'), (['x=x'], '--pairs names x more than once'),
])
def test_pairs_that_are_not_usable(given, message):
    with pytest.raises(ValueError, match=message):
        choose_pairs(('x', 'y', 'a=b'), given)


def test_names_may_hold_the_sign_of_equality():
    assert choose_pairs(('x', 'y', 'a=b'), ['x=a=b']).pairs == (('x', 'a=b'), )
    assert parse_map(['x=left_wrist'], ('x', ), ('left_wrist', )) == {'x': 'left_wrist'}
    with pytest.raises(ValueError, match='--map takes NAME=NAME, got x=z; the names are x, and after = left_wrist'):
        parse_map(['x=z'], ('x', ), ('left_wrist', ))
