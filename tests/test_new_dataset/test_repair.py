"""What labeling tools leave out: filled in where it can be, refused by annotation id where not."""
import json

import cv2
import numpy as np
import pytest

from mmpose_mspn.new_dataset.coco_file import ImageFolder, find_category
from mmpose_mspn.new_dataset.objects import Source, hold_out, read_objects, refuse_shared_images
from mmpose_mspn.new_dataset.repair import RepairedFile, repair

CATEGORIES = [dict(id=7, name='robot', keypoints=['a', 'b', 'c'], skeleton=[]), dict(id=8, name='box')]


@pytest.fixture
def folder(tmp_path):
    """An image of 64 × 48 px in the folder, and one in a sub-folder."""
    for name in ('one.jpg', 'deep/er/two.jpg'):
        (tmp_path / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / 'images' / name), np.zeros((48, 64, 3), np.uint8))
    return tmp_path / 'images'


def whole(**changes) -> dict:
    """A complete annotation."""
    return {**dict(id=5, image_id=1, category_id=7, keypoints=[10, 10, 2, 20, 30, 1, 0, 0, 0], bbox=[5., 5., 20., 30.],
                   area=600, iscrowd=0, num_keypoints=2), **changes}


def content(*annotations, images=None) -> dict:
    images = images or [dict(id=1, file_name='one.jpg', width=64, height=48)]
    return dict(images=images, annotations=list(annotations), categories=CATEGORIES)


def repaired(folder, *annotations, images=None, skip_broken=False) -> RepairedFile:
    given = content(*annotations, images=images)
    return repair(given, 'robots.json', find_category(given, 'robots.json'), ImageFolder(folder), skip_broken)


def counts(of: dict) -> dict:
    return {what: count for what, count in of.items() if count}


def test_complete_annotations_stay_as_they_are(folder):
    found = repaired(folder, whole())
    assert found.annotations == [whole()] and found.objects == [whole()]
    assert found.images == [dict(id=1, file_name='one.jpg', width=64, height=48)]
    assert counts(found.filled_in) == counts(found.left_out) == {}


def test_area_iscrowd_and_num_keypoints_are_filled_in(folder):
    annotation = {key: value for key, value in whole().items() if key not in ('area', 'iscrowd', 'num_keypoints')}
    found = repaired(folder, annotation)
    # mmpose's share of the box: 0.53 × 20 × 30.
    assert found.annotations == [whole(area=pytest.approx(318))]
    assert counts(found.filled_in) == dict(area=1, iscrowd=1, num_keypoints=1)


@pytest.mark.parametrize('box', [None, [], [0, 0, 0, 0], [10, 10, 10, 20], [10.2, 9.8, 10, 20.1], [float('nan')] * 4,
                                 [70, 5, 10, 10]])
def test_boxes_that_are_empty_or_tight_are_made_from_the_keypoints(box, folder):
    """The labeled keypoints span (10, 10) to (20, 30); 0.1 of the longer side goes around."""
    found = repaired(folder, whole(bbox=box))
    assert found.annotations[0]['bbox'] == pytest.approx([8, 8, 14, 24])
    assert counts(found.filled_in) == {'boxes, from the keypoints': 1}


def test_boxes_from_keypoints_on_a_line_have_a_width_and_stay_in_the_image(folder):
    """CVAT writes no width for them."""
    found = repaired(folder, whole(keypoints=[0, 10, 2, 0, 40, 2, 0, 0, 0], bbox=[0, 10, 0, 30]))
    assert found.annotations[0]['bbox'] == pytest.approx([0, 7, 3, 36])


def test_the_area_of_a_box_that_is_replaced_is_replaced_too(folder):
    """The new box is 14 × 24 px, of which mmpose counts 0.53 to the object. An area of its own stays."""
    found = repaired(folder, whole(bbox=[10, 10, 10, 20], area=200), whole(id=6, bbox=[10, 10, 10, 20], area=150))
    assert [entry['area'] for entry in found.annotations] == pytest.approx([178.08, 150])
    assert counts(found.filled_in) == {'boxes, from the keypoints': 2, 'area': 1}


def test_boxes_that_leave_the_image_are_cut(folder):
    found = repaired(folder, whole(bbox=[-5, 5, 80, 90]))
    assert found.annotations[0]['bbox'] == [0, 5, 64, 43]
    assert counts(found.filled_in) == {'boxes that left their image': 1}


def test_keypoints_outside_the_image_become_not_labeled(folder):
    found = repaired(folder, whole(keypoints=[10, 10, 2, 64, 48, 1, 64.1, 10, 2], num_keypoints=3))
    assert found.annotations[0]['keypoints'] == [10, 10, 2, 64, 48, 1, 64.1, 10, 0]
    assert found.annotations[0]['num_keypoints'] == 2


@pytest.mark.parametrize('name', ['two.jpg', 'er/two.jpg', 'other\\er\\two.jpg', '/elsewhere/two.jpg',
                                  'upload/0a1b2c3d-two.jpg'])
def test_images_are_found_in_sub_folders(name, folder):
    found = repaired(folder, whole(), images=[dict(id=1, file_name=name)])
    assert found.images == [dict(id=1, file_name='deep/er/two.jpg', width=64, height=48)]


def test_of_images_of_one_name_the_folders_decide(folder):
    for name in ('x', 'x/er'):
        (folder / name).mkdir()
        cv2.imwrite(str(folder / name / 'two.jpg'), np.zeros((8, 8, 3), np.uint8))
    assert ImageFolder(folder).find('other/x/two.jpg') == 'x/two.jpg'
    assert ImageFolder(folder).find('deep/er/two.jpg') == 'deep/er/two.jpg'
    assert ImageFolder(folder).find('er/two.jpg') is None
    assert ImageFolder(folder).find('three.jpg') is None


def test_sizes_are_those_of_the_image_as_it_is_read(folder):
    """A camera on its side stores the image turned and says so; OpenCV turns it back."""
    from PIL import Image
    image = Image.new('RGB', (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(folder / 'turned.jpg', exif=exif)
    assert ImageFolder(folder).size('turned.jpg') == (20, 40) == cv2.imread(str(folder / 'turned.jpg')).shape[1::-1]


def test_ids_that_are_missing_or_repeated_or_words_are_replaced(folder):
    images = [dict(id='one', file_name='one.jpg', width=64, height=48)]
    annotations = [whole(image_id='one'), whole(image_id='one'), whole(id=None, image_id='one')]
    found = repaired(folder, *annotations, images=images)
    assert found.images[0]['id'] == 1 and {entry['image_id'] for entry in found.annotations} == {1}
    ids = [entry['id'] for entry in found.annotations]
    assert len(set(ids)) == 3 and all(isinstance(number, int) for number in ids)


def test_what_cannot_be_trained_on_is_left_out_and_counted(folder):
    found = repaired(folder, whole(), whole(id=6, category_id=8), whole(id=7, keypoints=[], bbox=[0, 0, 0, 0]),
                     whole(id=8, keypoints=[0] * 9, bbox=[0, 0, 0, 0]), whole(id=9, keypoints=[0] * 9))
    assert [entry['id'] for entry in found.objects] == [5]
    # A box without labeled keypoints stays: the evaluation ignores what is predicted there.
    assert [entry['id'] for entry in found.annotations] == [5, 9]
    assert counts(found.left_out) == {'annotations of other categories': 1, 'annotations without keypoints': 2}


BROKEN = [
    (whole(keypoints=[1, 2, 2]), 'annotation 5 has 3 values for 3 keypoints, which need 9'),
    (whole(keypoints=[1, 2, 3] + [0] * 6), 'annotation 5 has visibility 3, which must be 0'),
    (whole(keypoints=[1, None, 2] + [0] * 6), 'annotation 5 has keypoints that are not finite numbers'),
    (whole(keypoints=[9, 9, 2] + [0] * 6, bbox=[]), 'annotation 5 has no box, and its labeled keypoints lie at one '
                                                    'point'),
    (whole(image_id=3), 'annotation 5 is of image 3, which images does not list'),
]


@pytest.mark.parametrize('annotation, message', BROKEN)
def test_what_cannot_be_repaired_is_refused_by_its_id(annotation, message, folder):
    with pytest.raises(ValueError, match=message) as raised:
        repaired(folder, annotation)
    assert '\n' not in str(raised.value) and '--skip-broken' in str(raised.value)


def test_broken_annotations_can_be_left_out(folder):
    found = repaired(folder, *(dict(annotation, id=20 + number) for number, (annotation, _) in enumerate(BROKEN)),
                     whole(), skip_broken=True)
    assert [entry['id'] for entry in found.annotations] == [5]
    assert counts(found.left_out) == {'entries that cannot be repaired': 5}


@pytest.mark.parametrize('image, message', [
    (dict(id=1, file_name='none.jpg', width=64, height=48), 'image none.jpg is not in'),
    (dict(id=1), 'image 1 has no file_name'),
    (dict(id=1, file_name='broken.jpg'), 'image broken.jpg has no width and height, and does not open'),
])
def test_images_that_are_not_there_are_refused_once(image, message, folder):
    (folder / 'broken.jpg').write_bytes(b'none')
    with pytest.raises(ValueError, match=f'1 entries that cannot be repaired: {message}'):
        repaired(folder, whole(), whole(id=6), images=[image])


def test_many_problems_are_named_in_one_line(folder):
    with pytest.raises(ValueError, match=r'8 entries .* annotation 4 .* \(and 3 more\)'):
        repaired(folder, *(whole(id=number, image_id=3) for number in range(8)))


# ---------------------------------------------------------------- training and validation


def many(folder, count: int) -> RepairedFile:
    images = [dict(id=number, file_name='one.jpg', width=64, height=48) for number in range(1, count + 1)]
    return repaired(folder, *(whole(id=number, image_id=number) for number in range(1, count + 1)), images=images)


def test_images_are_held_out_whole_and_the_same_each_time(folder):
    data = many(folder, 40)
    train, val = hold_out(data, 0.1, 'robots.json')
    assert len(train.objects) == 36 and len(val.objects) == 4
    assert {entry['image_id'] for entry in val.objects} == {image['id'] for image in val.images}
    assert not {image['id'] for image in val.images} & {image['id'] for image in train.images}
    assert hold_out(data, 0.1, 'robots.json')[1].images == val.images


@pytest.mark.parametrize('images, share, held_out', [(2, 0.9, 1), (2, 0.01, 1), (3, 0.5, 2)])
def test_both_parts_hold_an_image(images, share, held_out, folder):
    assert len(hold_out(many(folder, images), share, 'robots.json')[1].objects) == held_out


def test_shares_and_files_that_cannot_be_split_are_refused(folder):
    with pytest.raises(ValueError, match='in one image only, so none can be held out'):
        hold_out(many(folder, 1), 0.1, 'robots.json')
    with pytest.raises(ValueError, match='--val-share must be a share of the images between 0 and 1, got 1'):
        hold_out(many(folder, 3), 1, 'robots.json')


@pytest.mark.parametrize('changes, message', [
    (dict(bbox=[40., 20., 60., 40.]), r'all 1 boxes lie in their images as x1, y1, x2, y2.*write x, y, width and'),
    (dict(bbox=[.1, .2, .5, .5]), 'the numbers of all 1 boxes are 0 to 1 .*multiply x by the width'),
    (dict(bbox=None, keypoints=[.1, .2, 2, .3, .4, 2, .5, .6, 2]), 'the coordinates of all keypoints are 0 to 1')])
def test_coordinates_of_another_form_are_refused(folder, changes, message):
    with pytest.raises(ValueError, match=message):
        repaired(folder, whole(**changes))


def test_images_that_are_trained_and_validated_on_are_refused(folder):
    train, other = many(folder, 3), many(folder, 2)
    sources = [Source(folder / f'{name}.json', folder) for name in ('train', 'val')]
    with pytest.raises(ValueError, match=r'1 images with objects are in .*train.json and in .*val.json'):
        refuse_shared_images(train, other, *sources)
    refuse_shared_images(train, other, sources[0], Source(folder / 'val.json', folder / 'others'))


def write(folder, name: str, given: dict):
    (folder / name).write_text(json.dumps(given))
    return Source(folder / name, folder)


def test_validation_files_get_the_category_of_the_training(folder):
    other = content(whole(category_id=3))
    other['categories'] = [dict(CATEGORIES[0], id=3)]
    category, train, val = read_objects(
        write(folder, 'a.json', content(whole())), write(folder, 'b.json', other), None, False)
    assert category.id == 7 and train.annotations[0]['category_id'] == val.annotations[0]['category_id'] == 7


def test_validation_files_with_other_keypoints_are_refused(folder):
    other = content(whole())
    other['categories'] = [dict(CATEGORIES[0], keypoints=['a', 'c', 'b'])]
    with pytest.raises(ValueError, match=r'b.json has other keypoints than .*a.json \(a, c, b instead of a, b, c\)'):
        read_objects(write(folder, 'a.json', content(whole())), write(folder, 'b.json', other), None, False)


@pytest.mark.parametrize('annotations', [(), (whole(keypoints=[0] * 9), ), (whole(iscrowd=1), )])
def test_files_with_nobody_are_refused(annotations, folder):
    with pytest.raises(ValueError, match='no annotation of category robot with labeled keypoints'):
        read_objects(write(folder, 'a.json', content(*annotations)), None, None, False)
