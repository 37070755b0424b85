"""Boxes for tools/infer.py: of files, by file name, by id and by category; of a detector of mmdet."""
import json
import sys
from pathlib import Path
from typing import Tuple

import cv2
import mmpose
import numpy as np
import pytest
import torch
from mmcv.ops import get_compiling_cuda_version
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpose.apis import Pose2DInferencer
from mmpose.apis.inferencers.utils import default_det_models

import mmpose_mspn
from mmpose_mspn.apis import load
from mmpose_mspn.apis.boxes import open_detector
from mmpose_mspn.apis.load import detector_device
from mmpose_mspn.utils.errors import DataError, UserError
from tests.test_apis.infer_setup import NAMES, SIZE, joints_of, write_json
from tests.weight_server import use_empty_homes

FIRST, SECOND = [10, 5, 40, 70], [50.5, 20, 30, 55.25]


def list_of(tmp_path, *entries: dict) -> Path:
    return write_json(tmp_path / 'boxes.json', list(entries))


def test_detections_by_file_name(setup, tmp_path):
    boxes = list_of(
        tmp_path,
        dict(file_name='val2017/' + NAMES[1], bbox=FIRST, score=0.5, category_id=1),
        dict(file_name=NAMES[1], bbox=SECOND),
        dict(file_name=NAMES[2], bbox=FIRST, score=0.29))
    counts = setup.infer(setup.images, boxes=boxes)
    assert (counts['images'], counts['instances']) == (3, 2)
    images = setup.predictions()['images']
    # Images without a box, or with a box below bbox_thr only, have no person.
    assert [len(image['instances']) for image in images] == [0, 2, 0]
    assert joints_of(images[1]) == setup.expected(setup.read(NAMES[1]), [FIRST, SECOND])
    first, second = images[1]['instances']
    assert (first['bbox'], first['bbox_score']) == (FIRST, 0.5)
    assert (second['bbox'], second['bbox_score']) == (SECOND, 1)
    assert first['score'] == pytest.approx(0.5 * np.mean(first['keypoints'], 0)[2], abs=1e-6)
    assert setup.infer(setup.images, boxes=boxes, bbox_thr=0.29)['instances'] == 3


def test_detections_by_id(setup):
    people = setup.root / 'people'
    ann_file = people / 'annotations' / 'person_keypoints_val2017.json'
    detections, = (people / 'person_detection_results').glob('*.json')
    counts = setup.infer(setup.images, boxes=detections, ann_file=ann_file, bbox_thr=0)
    entries = json.loads(detections.read_text())
    ids = {image['id']: image['file_name'] for image in json.loads(ann_file.read_text())['images']}
    assert counts['instances'] == len(entries) > 0
    for image in setup.predictions()['images']:
        assert [(one['bbox'], one['bbox_score']) for one in image['instances']] == [
            (entry['bbox'], entry['score']) for entry in entries if ids[entry['image_id']] == image['image']]


def test_annotation_file(setup, tmp_path, log):
    boxes = write_json(tmp_path / 'boxes.json', dict(
        images=[dict(id=7, file_name=NAMES[0])],
        categories=[dict(id=1, name='dog'), dict(id=4, name='person')],
        annotations=[
            dict(image_id=7, bbox=FIRST, category_id=4),
            dict(image_id=7, bbox=SECOND, category_id=1),
            dict(image_id=7, bbox=SECOND, category_id=4, iscrowd=1)
        ]))
    assert setup.infer(setup.images / NAMES[0], boxes=boxes)['instances'] == 1
    instance, = setup.predictions()['images'][0]['instances']
    assert instance['bbox'] == FIRST
    assert '2 boxes' in log.text


def test_boxes_of_neighbors_of_one_image(setup, tmp_path):
    boxes = list_of(tmp_path, dict(file_name=NAMES[1], bbox=FIRST),
                    dict(file_name=NAMES[2], bbox=SECOND))
    assert setup.infer(setup.images / NAMES[1], boxes=boxes)['instances'] == 1


def test_zero_size_is_skipped(setup, tmp_path, log):
    boxes = list_of(tmp_path, dict(file_name=NAMES[0], bbox=[3, 4, 0, 20]),
                    dict(file_name=NAMES[0], bbox=FIRST), dict(file_name=NAMES[0], bbox=[3, 4, 5, -1]))
    counts = setup.infer(setup.images / NAMES[0], boxes=boxes)
    assert (counts['instances'], counts['skipped_boxes']) == (1, 2)
    assert f'{NAMES[0]}: 2 boxes of zero size' in log.text


def test_the_folder_is_part_of_a_name(setup, tmp_path):
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / '1.jpg').write_bytes((setup.images / NAMES[0]).read_bytes())
    boxes = list_of(tmp_path, dict(file_name='b/1.jpg', bbox=FIRST))
    assert setup.infer(tmp_path / 'b', boxes=boxes)['instances'] == 1
    with pytest.raises(ValueError, match=r'1 images that are not in .*/a, such as b/1\.jpg'):
        setup.infer(tmp_path / 'a', boxes=boxes)
    boxes = list_of(tmp_path, dict(file_name='1.jpg', bbox=FIRST),
                    dict(file_name='a/1.jpg', bbox=SECOND))
    assert setup.infer(tmp_path / 'a', boxes=boxes)['instances'] == 2


def test_two_images_of_one_id_are_refused(setup, tmp_path):
    boxes = write_json(tmp_path / 'boxes.json', dict(
        images=[dict(id=7, file_name=NAMES[0]), dict(id=7, file_name=NAMES[1])],
        annotations=[dict(image_id=7, bbox=FIRST, category_id=1)]))
    with pytest.raises(ValueError, match='have the id 7 twice'):
        setup.infer(setup.images, boxes=boxes)


@pytest.mark.parametrize('names, given, people', [
    (['dog'], None, 1), (['dog', 'cat'], 'cat', 1), (['dog', 'cat'], '2', 1), (['person', 'cat'], None, 1),
    (['dog', 'cat'], None, 'no box of the category .person., only of 1 .dog., 2 .cat.: .*--category'),
    (['person', 'dog'], 'cat', 'no box of the category .cat.')])
def test_category(setup, tmp_path, names, given, people):
    boxes = write_json(tmp_path / 'boxes.json', dict(
        images=[dict(id=7, file_name=NAMES[0])],
        categories=[dict(id=number, name=name) for number, name in enumerate(names, 1)],
        annotations=[dict(image_id=7, bbox=FIRST, category_id=number + 1) for number in range(len(names))]))
    if isinstance(people, int):
        assert setup.infer(setup.images, boxes=boxes, category=given)['instances'] == people
    else:
        with pytest.raises(ValueError, match=people):
            setup.infer(setup.images, boxes=boxes, category=given)


def test_a_list_without_persons_is_refused(setup, tmp_path):
    boxes = list_of(tmp_path, dict(file_name=NAMES[0], bbox=FIRST, category_id=18))
    with pytest.raises(ValueError, match='no box of the category .person., only of 18'):
        setup.infer(setup.images, boxes=boxes)
    assert setup.infer(setup.images, boxes=boxes, category='18')['instances'] == 1


def test_unknown_images_are_refused(setup, tmp_path):
    strangers = [dict(file_name=f'stranger{index}.jpg', bbox=FIRST) for index in range(7)]
    boxes = list_of(tmp_path, *strangers)
    with pytest.raises(ValueError, match=r'7 images .*stranger0\.jpg.*stranger4\.jpg, …'):
        setup.infer(setup.images, boxes=boxes)


def test_unknown_ids_are_refused(setup, tmp_path):
    boxes = list_of(tmp_path, dict(image_id=5, bbox=FIRST), dict(image_id=6, bbox=FIRST))
    with pytest.raises(ValueError, match='--ann-file'):
        setup.infer(setup.images, boxes=boxes)
    ann_file = write_json(tmp_path / 'ann.json', dict(images=[dict(id=5, file_name=NAMES[0])], annotations=[]))
    with pytest.raises(ValueError, match='1 image ids .* such as 6'):
        setup.infer(setup.images, boxes=boxes, ann_file=ann_file)
    with pytest.raises(ValueError, match='omit ann_file'):
        setup.infer(setup.images, boxes=ann_file, ann_file=ann_file)


@pytest.mark.parametrize('content, message', [
    ([dict(file_name=NAMES[0], bbox=[1, 2, 3])], 'entry 0'),
    ([dict(file_name=NAMES[0])], 'entry 0'),
    ([dict(file_name=NAMES[0], bbox=[0, 0, 9, float('nan')])], 'entry 0'),
    ([dict(bbox=[0, 0, 9, 9])], 'neither file_name nor image_id'),
    (dict(boxes=[]), 'list of detections'),
    (dict(images=[dict(id=1)], annotations=[]), 'file_name'),
])
def test_malformed_files_are_refused(setup, tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        setup.infer(setup.images, boxes=write_json(tmp_path / 'boxes.json', content))


def test_files_that_are_not_json_are_refused(setup, tmp_path):
    (tmp_path / 'boxes.json').write_text('x, y')
    with pytest.raises(ValueError, match='not JSON'):
        setup.infer(setup.images, boxes=tmp_path / 'boxes.json')


@pytest.mark.parametrize('ids, shown', [((777, 'a'), r"such as 'a', 777: take"), (('1', ), r"such as '1': take")])
def test_image_ids_of_other_kinds(setup, tmp_path, ids, shown):
    boxes = list_of(tmp_path, *(dict(image_id=one, bbox=FIRST) for one in ids))
    catalog = write_json(tmp_path / 'catalog.json', dict(images=[dict(id=1, file_name='000000000001.jpg')]))
    with pytest.raises(ValueError, match=shown):
        setup.infer(setup.images, boxes=boxes, ann_file=catalog)


def test_video_takes_no_boxes(setup, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / 'walk.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, SIZE)
    writer.write(setup.read(NAMES[0]))
    writer.release()
    with pytest.raises(ValueError, match='is a video'):
        setup.infer(tmp_path / 'walk.avi', boxes=list_of(tmp_path))


CONFIG = """
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
model = dict(test_cfg=dict(max_per_img=6))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='Pad', size=(64, 64)),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]))
"""


def write_detector(folder: Path) -> Tuple[Path, Path]:
    """Write the config and random weights of a detector that finds persons and bicycles everywhere."""
    pytest.importorskip('mmdet', reason='mmdet is not installed')
    from mmdet.registry import MODELS as MMDET_MODELS
    config, checkpoint = folder / 'detector.py', folder / 'detector.pth'
    config.write_text(CONFIG)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        weights = MMDET_MODELS.build(Config.fromfile(config).model).state_dict()
    # Random weights detect nothing: raise the scores of a person (class 0) and a bicycle (class 1) everywhere.
    for level, bias in enumerate((1., 2., 3.)):
        weights[f'bbox_head.rtm_cls.{level}.bias'][:2] = torch.tensor([bias, bias - 0.5 + 0.5 * level])
        weights[f'bbox_head.rtm_reg.{level}.bias'][:] = torch.tensor([1., 1.5, 2., 2.5])
    torch.save(dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=('person', 'bicycle')))), checkpoint)
    return config, checkpoint


def test_mmdet(setup, tmp_path):
    """The boxes are the persons found by mmdet's own inference, as x, y, width, height."""
    config, checkpoint = write_detector(tmp_path)
    from mmdet.apis import inference_detector, init_detector
    setup.infer(setup.images, det_config=config, det_checkpoint=checkpoint, bbox_thr=0.4)
    images = setup.predictions()['images']

    model = init_detector(str(config), str(checkpoint), device='cpu')
    with DefaultScope.overwrite_default_scope('mmdet'):
        found = [inference_detector(model, setup.read(name)).pred_instances for name in NAMES]
    labels = torch.cat([one.labels for one in found])
    assert {0, 1} <= set(labels.tolist())
    for image, all_found in zip(images, found):
        persons = all_found[(all_found.labels == 0) & (all_found.scores >= 0.4)]
        assert len(persons) == len(image['instances']) > 0
        for instance, (x1, y1, x2, y2), score in zip(image['instances'], persons.bboxes.tolist(),
                                                     persons.scores.tolist()):
            assert instance['bbox'] == pytest.approx([x1, y1, x2 - x1, y2 - y1])
            assert instance['bbox_score'] == pytest.approx(score)
        boxes = [instance['bbox'] for instance in image['instances']]
        assert joints_of(image) == setup.expected(setup.read(image['image']), boxes)


def test_batches_of_a_detector(setup, tmp_path):
    """Images of several sizes give the boxes that each gives alone."""
    find_boxes = open_detector(write_detector(tmp_path), 'cpu')
    images = [setup.read(name) for name in NAMES]
    images.insert(1, images[0][:40])
    together = find_boxes(images)
    assert len(together) == len(images)
    for image, (boxes, scores) in zip(images, together):
        (alone, alone_scores), = find_boxes([image])
        assert len(boxes) and boxes == pytest.approx(alone, abs=1e-3) and scores == pytest.approx(alone_scores)


@pytest.fixture
def named(tmp_path, monkeypatch) -> dict:
    """A detector in the place of mmpose's default one for people; it takes bicycles too."""
    config, checkpoint = write_detector(tmp_path)
    entry = dict(model=str(config), weights=str(checkpoint), cat_ids=(0, 1))
    monkeypatch.setitem(default_det_models, 'human', entry)
    return entry


def test_a_default_detector_by_name_gives_what_mmposes_inferencer_uses(setup, named, tmp_path):
    """MMPoseInferencer takes the classes ``cat_ids`` of its table, scores above 0.3, and suppresses overlaps of 0.3."""
    config = tmp_path / 'topdown.py'
    config.write_text(f"{setup.config.read_text()}\ndata_mode, dataset_type = 'topdown', 'CocoDataset'\n")
    inferencer = Pose2DInferencer(str(config), str(setup.checkpoint), 'cpu', det_model=named['model'],
                                  det_weights=named['weights'], det_cat_ids=named['cat_ids'])
    setup.infer(setup.images, detector='human')
    for image in setup.predictions()['images']:
        people = inferencer.preprocess_single(setup.read(image['image']), 0)
        expected = [sample['data_samples'].gt_instances.bboxes[0].tolist() for sample in people]
        x_y_w_h = [instance['bbox'] for instance in image['instances']]
        assert len(x_y_w_h) > 0
        assert np.array([[x, y, x + w, y + h] for x, y, w, h in x_y_w_h]) == pytest.approx(np.array(expected), abs=1e-3)


@pytest.mark.parametrize('form', ['name', 'files', 'function'])
def test_a_loaded_model_finds_people(setup, named, form):
    """Where no boxes are given, also for one of several images, and in any batch."""
    forms = dict(name='human', files=(named['model'], named['weights']), function=lambda image: [[8, 9, 20, 30]])
    model = mmpose_mspn.load(setup.checkpoint, setup.config, device='cpu', detector=forms[form])
    images = [setup.read(name) for name in NAMES]
    alone = [model.predict(image) for image in images]
    assert all(len(result) for result in alone)
    if form == 'function':
        assert [result.boxes.tolist() for result in alone] == [[[8, 9, 20, 30]]] * 3
    for results in (model.predict(images), list(model.predict(setup.images)), list(model.predict(iter(images)))):
        assert [result.boxes for result in results] == [pytest.approx(result.boxes, abs=1e-3) for result in alone]
    given, found, empty = model.predict(images, [[[1, 2, 30, 40]], None, []])
    assert given.boxes.tolist() == [[1, 2, 30, 40]] and len(empty) == 0
    assert found.boxes == pytest.approx(alone[1].boxes, abs=1e-3)


@pytest.mark.parametrize('name, config, file', [
    ('human', 'mmpose/.mim/demo/mmdetection_cfg/rtmdet_m_640-8xb32_coco-person.py',
     'rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth'),
    ('animal', 'mmdet/.mim/configs/rtmdet/rtmdet_m_8xb32-300e_coco.py',
     'rtmdet_m_8xb32-300e_coco_20220719_112220-229f527c.pth'),  # mmpose's table leaves its address to mmdet's list
])
def test_the_default_detectors_of_mmpose_are_read_from_torch_hubs_folder(tmp_path, monkeypatch, name, config, file):
    pytest.importorskip('mmdet', reason='mmdet is not installed')
    from mmdet.registry import MODELS as MMDET_MODELS
    folder = use_empty_homes(tmp_path, monkeypatch)
    folder.mkdir(parents=True)
    with DefaultScope.overwrite_default_scope('mmdet'):
        settings = Config.fromfile(Path(mmpose.__file__).parents[1] / config)
        torch.save(dict(state_dict=MMDET_MODELS.build(settings.model).state_dict()), folder / file)
    (boxes, scores), = open_detector(name, 'cpu')([np.zeros((64, 48, 3), np.uint8)])
    assert boxes.shape[1] == 4 and len(boxes) == len(scores)


def test_nobody_is_found(setup):
    model = mmpose_mspn.load(setup.checkpoint, setup.config, device='cpu', detector=lambda image: [])
    assert len(model.predict(setup.read(NAMES[0]))) == 0
    assert [len(result) for result in model.predict(setup.images)] == [0, 0, 0]


@pytest.fixture
def still(setup, tmp_path) -> Path:
    """A video of three equal frames."""
    writer = cv2.VideoWriter(str(tmp_path / 'still.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 12, SIZE)
    for _ in range(3):
        writer.write(setup.read(NAMES[0]))
    writer.release()
    return tmp_path / 'still.avi'


@pytest.mark.parametrize('batch_size', [1, 2, 16])
def test_ids_follow_people_through_a_video(setup, still, batch_size):
    """Whatever the order in which a detector finds them, and in any batch."""
    one, other = [5, 5, 30, 60], [50, 10, 40, 60]
    found = iter([[one, other], [other, one], [other]])
    model = mmpose_mspn.load(setup.checkpoint, setup.config, device='cpu', detector=lambda image: next(found))
    results = list(model.predict(still, batch_size=batch_size))
    assert [result.track_ids.tolist() for result in results] == [[0, 1], [1, 0], [1]]
    assert model.predict(setup.read(NAMES[0]), [one]).track_ids is None


def test_ids_of_people_are_written(setup, still, named):
    setup.infer(still, detector='human', batch_size=2)
    ids = [[person['track_id'] for person in image['instances']] for image in setup.predictions()['images']]
    assert len(ids[0]) > 0 and ids == [list(range(len(ids[0])))] * 3
    setup.infer(setup.images / NAMES[0], detector='human')
    assert all('track_id' not in person for image in setup.predictions()['images'] for person in image['instances'])


def test_an_unknown_detector_is_refused(setup):
    with pytest.raises(UserError, match="detector humans is none of the default detectors of mmpose.*did you mean 'hu"):
        mmpose_mspn.load(setup.checkpoint, setup.config, device='cpu', detector='humans')


@pytest.mark.parametrize('others', [dict(boxes='boxes.json'), dict(det_config='a.py', det_checkpoint='a.pth')])
def test_one_source_of_boxes_at_a_time(setup, others):
    with pytest.raises(UserError, match='detector'):
        setup.infer(setup.images, detector='human', **others)


def test_mmdet_absent(setup, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmdet.apis', None)  # makes the import fail
    with pytest.raises(ImportError, match=r'pip install "mmdet>=3\.0,<3\.4"'):
        setup.infer(setup.images, det_config='a.py', det_checkpoint='a.pth')


@pytest.mark.skipif(get_compiling_cuda_version() != 'not available', reason='mmcv was built for GPUs')
def test_a_detector_runs_on_the_cpu_where_mmcv_was_built_for_it_alone(capfd, monkeypatch):
    monkeypatch.setattr(MMLogger, '_instance_dict', {})  # a logger of an earlier test writes elsewhere
    assert detector_device('cuda:0') == 'cpu'
    said = capfd.readouterr()
    assert 'the detector runs on the CPU, and the pose estimator on cuda:0' in said.out + said.err


def test_a_detector_shares_the_device_where_mmcv_was_built_for_it(monkeypatch):
    assert detector_device('cpu') == 'cpu'
    monkeypatch.setattr(load, 'get_compiling_cuda_version', lambda: '12.1')
    assert detector_device('cuda:1') == 'cuda:1'
