"""COCO-style datasets: visibility 0/1/2 and unclipped boxes reach the labels, and samples are otherwise mmpose's."""
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmpose.registry import TRANSFORMS

from mmpose_mspn.datasets.file_checks import SHARED_KEYS
from tests.building import backbone, head
from tests.test_datasets.coco_files import dataset, write_coco


def test_visibility_reaches_the_labels(tmp_path):
    item = dataset(write_coco(tmp_path))[0]
    labels = item['data_samples'].gt_instance_labels
    assert labels.keypoints_visible[0, :4].tolist() == [0, 1, 2, 2]
    np.testing.assert_array_equal(item['data_samples'].gt_instances.keypoints_visible[0, :4], [0, 1, 2, 2])


def test_the_loss_refuses_the_stock_dataset(tmp_path):
    item = dataset(write_coco(tmp_path), type='CocoDataset')[0]
    module = head(2)
    batch = pseudo_collate([item] * 2)
    with pytest.raises(ValueError, match="mmpose_mspn.CocoDataset.*visibility='labeled'"):
        module.loss(backbone(2)(batch['inputs'][0][None].float().expand(2, -1, -1, -1)), batch['data_samples'])


def test_boxes_stay_as_annotated(tmp_path):
    info = dataset(write_coco(tmp_path, bbox=(-3, 5, 90, 100))).get_data_info(0)
    np.testing.assert_array_equal(info['bbox'], [[-3, 5, 87, 105]])


def test_a_person_with_a_box_beside_the_image_is_kept_without_clipping(tmp_path):
    """mmpose clips the box to the image and then drops the person, because the box is empty."""
    write_coco(tmp_path, bbox=(79.5, 5, 10, 80))
    np.testing.assert_array_equal(dataset(tmp_path).get_data_info(0)['bbox'], [[79.5, 5, 89.5, 85]])
    assert len(dataset(tmp_path, type='CocoDataset', serialize_data=False)) == 0


def test_samples_have_the_keys_of_stock_samples_without_copies(tmp_path):
    ours = dataset(write_coco(tmp_path))
    stock = dataset(tmp_path, type='CocoDataset').get_data_info(0)
    info = ours.get_data_info(0)
    assert set(info) == set(stock)
    for key in SHARED_KEYS:
        assert info[key] is ours._metainfo[key]
        np.testing.assert_array_equal(info[key], stock[key])
    assert info['flip_indices'] == stock['flip_indices']


@pytest.mark.parametrize('converter', ['KeypointConverter', 'mmpose_mspn.KeypointConverter'])
def test_a_conversion_leaves_the_flip_indices_of_other_samples_alone(tmp_path, converter):
    """mmpose's converter changes the list in place if a source is a pair."""
    people = dataset(write_coco(tmp_path))
    before = list(people.metainfo['flip_indices'])
    step = TRANSFORMS.build(dict(type=converter, num_keypoints=3, mapping=[((5, 6), 0), (9, 1), (10, 2)]))
    first, second = (step(people.get_data_info(0))['flip_indices'] for _ in range(2))
    assert first == second
    if converter == 'KeypointConverter':
        assert first != before[:3]
    else:
        assert first == [0, 2, 1]  # between the shoulders, and both wrists
    assert people.metainfo['flip_indices'] == before


def test_an_invalid_visibility_is_refused_by_annotation_and_file(tmp_path):
    write_coco(tmp_path, keypoints=[[20, 20, 3]] * 17)
    with pytest.raises(ValueError, match=r'people.json: annotation 7 of .*visibility must be 0, 1 or 2, got \[3.0\]'):
        dataset(tmp_path)
