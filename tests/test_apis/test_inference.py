"""Inference on images, folders and videos with a small random model, compared with mmpose's own inference."""
import json
import runpy
import sys
from pathlib import Path
from typing import List, Optional

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import inference_topdown, init_model
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.apis.inference import infer
from mmpose_mspn.apis.inputs import Frame
from mmpose_mspn.apis.outputs import VideoWriter
from mmpose_mspn.checkpoints import read_checkpoint
from mmpose_mspn.synthetic_people import generate
from tests.launching import python
from tests.model_files import save_random, write_config
from tests.places import ROOT

TOOL = ROOT / 'tools' / 'infer.py'
SIZE = (96, 80)  # width and height of the images


class Setup:
    """A folder with three images, a config and a checkpoint."""

    def __init__(self, root: Path, images: Path) -> None:
        self.root, self.images, self.out = root, images, root / 'out'
        self.config = write_config(root / 'config.py')
        self.checkpoint = root / 'model.pth'
        save_random(self.config, self.checkpoint, dataset_meta=parse_pose_metainfo(dict(from_file='coco.py')))
        self._model = None

    def infer(self, source: Path, **changes) -> dict:
        return infer(**{
            'source': source, 'config': self.config, 'checkpoint': self.checkpoint, 'out_dir': self.out,
            'device': 'cpu', **changes
        })

    def predictions(self) -> dict:
        return json.loads((self.out / 'predictions.json').read_text())

    def expected(self, image: np.ndarray, boxes: Optional[List[list]] = None) -> list:
        """Keypoints and scores that mmpose itself predicts in the boxes (x, y, w, h), or in the whole image."""
        if self._model is None:
            self._model = init_model(str(self.config), str(self.checkpoint), device='cpu')
        boxes = np.array(boxes, np.float32) if boxes else None
        found = [sample.pred_instances for sample in inference_topdown(self._model, image, boxes, 'xywh')]
        return [np.concatenate([one.keypoints[0], one.keypoint_scores[0][:, None]], 1).tolist() for one in found]


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope='module')
def setup_once(tmp_path_factory) -> Setup:
    root = tmp_path_factory.mktemp('inference')
    generate(root / 'people', train=0, val=3, workers=1, image_size=SIZE, progress=False)
    return Setup(root, root / 'people' / 'val2017')


@pytest.fixture
def setup(setup_once, tmp_path) -> Setup:
    setup_once.out = tmp_path / 'out'
    return setup_once


NAMES = ['000000000001.jpg', '000000000002.jpg', '000000000003.jpg']


def read(setup: Setup, name: str) -> np.ndarray:
    return cv2.imread(str(setup.images / name))


def joints_of(image: dict) -> list:
    return [instance['keypoints'] for instance in image['instances']]


class TestSources:

    def test_image(self, setup):
        counts = setup.infer(setup.images / NAMES[0], kpt_thr=0)
        assert counts == dict(images=1, instances=1, skipped=0, skipped_boxes=0, other_files=0)
        found = setup.predictions()
        assert found['keypoint_names'][0] == 'nose' and found['keypoint_names'][16] == 'right_ankle'
        assert [15, 13] in found['skeleton'] and len(found['skeleton']) == 19
        image, = found['images']
        instance, = image.pop('instances')
        assert image == dict(image=NAMES[0], width=96, height=80)
        assert instance['bbox'] == [0, 0, 96, 80] and instance['bbox_score'] == 1
        assert [instance['keypoints']] == setup.expected(read(setup, NAMES[0]))
        assert instance['score'] == pytest.approx(np.mean(instance['keypoints'], 0)[2], abs=1e-6)

    def test_fast_predicts_the_same(self, setup):
        setup.infer(setup.images / NAMES[0])
        expected = joints_of(setup.predictions()['images'][0])
        setup.infer(setup.images / NAMES[0], fast='float32')
        found = joints_of(setup.predictions()['images'][0])
        assert np.median(np.abs(np.array(found) - np.array(expected))) < 1e-3

    def test_only_joints_above_the_threshold_are_drawn(self, setup):
        source = setup.root / 'plain.png'  # lossless, so that pixels without a drawing are equal
        plain = np.full((80, 96, 3), (0, 90, 200), np.uint8)
        cv2.imwrite(str(source), plain)
        setup.infer(source, kpt_thr=0)
        drawn = cv2.imread(str(setup.out / 'plain.png'))
        changed = (drawn != plain).any(-1)
        assert drawn.shape == plain.shape and 0 < changed.mean() < 0.9
        joints = np.array(setup.predictions()['images'][0]['instances'][0]['keypoints'])[:, :2].astype(int)
        inside = joints[((joints >= 0) & (joints < SIZE)).all(1)]
        assert len(inside) and changed[inside[:, 1], inside[:, 0]].all()
        setup.infer(source, kpt_thr=9)
        assert (cv2.imread(str(setup.out / 'plain.png')) == plain).all()
        assert len(setup.predictions()['images'][0]['instances']) == 1

    def test_folder_skips_files_that_are_not_images(self, setup, tmp_path, log):
        folder = tmp_path / 'pictures'
        folder.mkdir()
        for name in NAMES[1], NAMES[0]:
            (folder / name).write_bytes((setup.images / name).read_bytes())
        (folder / 'broken.jpg').write_bytes(b'no picture')
        (folder / 'empty.PNG').write_bytes(b'')
        (folder / 'notes.txt').write_text('no picture')
        (folder / 'sub.jpg').mkdir()
        counts = setup.infer(folder)
        assert counts == dict(images=2, instances=2, skipped=2, skipped_boxes=0, other_files=1)
        images = setup.predictions()['images']
        assert [image['image'] for image in images] == NAMES[:2]
        assert [joints_of(image) for image in images] == [setup.expected(read(setup, name)) for name in NAMES[:2]]
        assert sorted(path.name for path in setup.out.iterdir()) == [*NAMES[:2], 'predictions.json']
        logged = log.text
        assert 'broken.jpg' in logged and 'empty.PNG' in logged and '1 files' in logged

    def test_video(self, setup, tmp_path):
        source = tmp_path / 'walk.avi'
        writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 12, SIZE)
        for name in NAMES:
            writer.write(read(setup, name))
        writer.release()
        capture = cv2.VideoCapture(str(source))
        frames = [capture.read()[1] for _ in NAMES]
        counts = setup.infer(source, kpt_thr=0)
        assert (counts['images'], counts['instances'], counts['skipped']) == (3, 3, 0)
        images = setup.predictions()['images']
        assert [(image['image'], image['frame']) for image in images] == [('walk.avi', n) for n in range(3)]
        assert all((image['width'], image['height']) == SIZE for image in images)
        assert [joints_of(image) for image in images] == [setup.expected(frame) for frame in frames]
        assert sorted(path.name for path in setup.out.iterdir()) == ['predictions.json', 'walk.mp4']
        drawn = cv2.VideoCapture(str(setup.out / 'walk.mp4'))
        assert drawn.get(cv2.CAP_PROP_FPS) == pytest.approx(12)
        for frame in frames:
            decoded, picture = drawn.read()
            assert decoded and picture.shape == frame.shape
            assert np.abs(picture.astype(int) - frame).max() > 60  # skeletons differ more than compression
        assert not drawn.read()[0]

    def test_video_of_odd_size_and_after_an_error(self, tmp_path):
        frame = Frame('odd.avi', np.full((61, 75, 3), 128, np.uint8), 0)
        with VideoWriter(tmp_path, 'odd', 10) as writer:
            writer.write(frame, frame.image)
        assert cv2.VideoCapture(str(tmp_path / 'odd.mp4')).read()[1].shape == (60, 74, 3)
        with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path, 'broken', 10) as writer:
            writer.write(frame, frame.image)
            raise ZeroDivisionError
        assert [path.name for path in tmp_path.iterdir()] == ['odd.mp4']

    def test_a_folder_in_the_place_of_a_video(self, tmp_path):
        (tmp_path / 'taken.mp4').mkdir()
        frame = Frame('taken.avi', np.full((60, 74, 3), 128, np.uint8), 0)
        with pytest.raises(OSError, match='taken.mp4 could not be written: Is a directory'), VideoWriter(
                tmp_path, 'taken', 10) as writer:
            writer.write(frame, frame.image)
        assert [path.name for path in tmp_path.iterdir()] == ['taken.mp4']

    def test_a_video_on_a_full_disk_is_refused_and_removed(self, tmp_path):
        """A process with a limit of the file size stands for a disk that is full."""
        script = (
            'import resource, signal, sys\nimport numpy as np\n'
            'import mmpose_mspn\nfrom pathlib import Path\n'
            'from mmpose_mspn.apis.inputs import Frame\nfrom mmpose_mspn.apis.outputs import VideoWriter\n'
            'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
            'resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))\n'
            'draw = np.random.default_rng(0)\n'
            'with VideoWriter(Path(sys.argv[1]), "noise", 10) as writer:\n'
            '    for number in range(30):\n'
            '        frame = Frame("noise.avi", draw.integers(0, 256, (64, 96, 3), dtype=np.uint8), number)\n'
            '        writer.write(frame, frame.image)\n')
        done = python('-c', script, tmp_path)
        assert done.returncode == 1 and 'of 30 frames can be read again; check the free space' in done.stderr
        assert not list(tmp_path.iterdir())

    def test_mp4_is_read(self, setup, tmp_path):
        source = tmp_path / 'walk.mp4'
        writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'mp4v'), 5, SIZE)
        writer.write(read(setup, NAMES[0]))
        writer.release()
        assert setup.infer(source)['images'] == 1


class TestBoxes:
    FIRST, SECOND = [10, 5, 40, 70], [50.5, 20, 30, 55.25]

    def list_of(self, setup, tmp_path, *entries: dict) -> Path:
        return write_json(tmp_path / 'boxes.json', list(entries))

    def test_detections_by_file_name(self, setup, tmp_path):
        boxes = self.list_of(
            setup, tmp_path,
            dict(file_name='val2017/' + NAMES[1], bbox=self.FIRST, score=0.5, category_id=1),
            dict(file_name=NAMES[1], bbox=self.SECOND),
            dict(file_name=NAMES[2], bbox=self.FIRST, score=0.29))
        counts = setup.infer(setup.images, boxes=boxes)
        assert (counts['images'], counts['instances']) == (3, 2)
        images = setup.predictions()['images']
        # Images without a box, or with a box below bbox_thr only, have no person.
        assert [len(image['instances']) for image in images] == [0, 2, 0]
        assert joints_of(images[1]) == setup.expected(read(setup, NAMES[1]), [self.FIRST, self.SECOND])
        first, second = images[1]['instances']
        assert (first['bbox'], first['bbox_score']) == (self.FIRST, 0.5)
        assert (second['bbox'], second['bbox_score']) == (self.SECOND, 1)
        assert first['score'] == pytest.approx(0.5 * np.mean(first['keypoints'], 0)[2], abs=1e-6)
        assert setup.infer(setup.images, boxes=boxes, bbox_thr=0.29)['instances'] == 3

    def test_detections_by_id(self, setup):
        people = setup.root / 'people'
        ann_file = people / 'annotations' / 'person_keypoints_val2017.json'
        detections, = (people / 'person_detection_results').iterdir()
        counts = setup.infer(setup.images, boxes=detections, ann_file=ann_file, bbox_thr=0)
        entries = json.loads(detections.read_text())
        ids = {image['id']: image['file_name'] for image in json.loads(ann_file.read_text())['images']}
        assert counts['instances'] == len(entries) > 0
        for image in setup.predictions()['images']:
            assert [(one['bbox'], one['bbox_score']) for one in image['instances']] == [
                (entry['bbox'], entry['score']) for entry in entries if ids[entry['image_id']] == image['image']]

    def test_annotation_file(self, setup, tmp_path, log):
        boxes = write_json(tmp_path / 'boxes.json', dict(
            images=[dict(id=7, file_name=NAMES[0])],
            categories=[dict(id=1, name='dog'), dict(id=4, name='person')],
            annotations=[
                dict(image_id=7, bbox=self.FIRST, category_id=4),
                dict(image_id=7, bbox=self.SECOND, category_id=1),
                dict(image_id=7, bbox=self.SECOND, category_id=4, iscrowd=1)
            ]))
        assert setup.infer(setup.images / NAMES[0], boxes=boxes)['instances'] == 1
        instance, = setup.predictions()['images'][0]['instances']
        assert instance['bbox'] == self.FIRST
        assert '2 boxes' in log.text

    def test_boxes_of_neighbors_of_one_image(self, setup, tmp_path):
        boxes = self.list_of(setup, tmp_path, dict(file_name=NAMES[1], bbox=self.FIRST),
                             dict(file_name=NAMES[2], bbox=self.SECOND))
        assert setup.infer(setup.images / NAMES[1], boxes=boxes)['instances'] == 1

    def test_zero_size_is_skipped(self, setup, tmp_path, log):
        boxes = self.list_of(setup, tmp_path, dict(file_name=NAMES[0], bbox=[3, 4, 0, 20]),
                             dict(file_name=NAMES[0], bbox=self.FIRST), dict(file_name=NAMES[0], bbox=[3, 4, 5, -1]))
        counts = setup.infer(setup.images / NAMES[0], boxes=boxes)
        assert (counts['instances'], counts['skipped_boxes']) == (1, 2)
        assert f'{NAMES[0]}: 2 boxes of zero size' in log.text

    def test_the_folder_is_part_of_a_name(self, setup, tmp_path):
        for folder in ('a', 'b'):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / '1.jpg').write_bytes((setup.images / NAMES[0]).read_bytes())
        boxes = self.list_of(setup, tmp_path, dict(file_name='b/1.jpg', bbox=self.FIRST))
        assert setup.infer(tmp_path / 'b', boxes=boxes)['instances'] == 1
        with pytest.raises(ValueError, match=r'1 images that are not in .*/a, such as b/1\.jpg'):
            setup.infer(tmp_path / 'a', boxes=boxes)
        boxes = self.list_of(setup, tmp_path, dict(file_name='1.jpg', bbox=self.FIRST),
                             dict(file_name='a/1.jpg', bbox=self.SECOND))
        assert setup.infer(tmp_path / 'a', boxes=boxes)['instances'] == 2

    def test_two_images_of_one_id_are_refused(self, setup, tmp_path):
        boxes = write_json(tmp_path / 'boxes.json', dict(
            images=[dict(id=7, file_name=NAMES[0]), dict(id=7, file_name=NAMES[1])],
            annotations=[dict(image_id=7, bbox=self.FIRST, category_id=1)]))
        with pytest.raises(ValueError, match='have the id 7 twice'):
            setup.infer(setup.images, boxes=boxes)

    @pytest.mark.parametrize('names, given, people', [
        (['dog'], None, 1), (['dog', 'cat'], 'cat', 1), (['dog', 'cat'], '2', 1), (['person', 'cat'], None, 1),
        (['dog', 'cat'], None, 'no box of the category .person., only of 1 .dog., 2 .cat.: .*--category'),
        (['person', 'dog'], 'cat', 'no box of the category .cat.')])
    def test_category(self, setup, tmp_path, names, given, people):
        boxes = write_json(tmp_path / 'boxes.json', dict(
            images=[dict(id=7, file_name=NAMES[0])],
            categories=[dict(id=number, name=name) for number, name in enumerate(names, 1)],
            annotations=[dict(image_id=7, bbox=self.FIRST, category_id=number + 1) for number in range(len(names))]))
        if isinstance(people, int):
            assert setup.infer(setup.images, boxes=boxes, category=given)['instances'] == people
        else:
            with pytest.raises(ValueError, match=people):
                setup.infer(setup.images, boxes=boxes, category=given)

    def test_a_list_without_persons_is_refused(self, setup, tmp_path):
        boxes = self.list_of(setup, tmp_path, dict(file_name=NAMES[0], bbox=self.FIRST, category_id=18))
        with pytest.raises(ValueError, match='no box of the category .person., only of 18'):
            setup.infer(setup.images, boxes=boxes)
        assert setup.infer(setup.images, boxes=boxes, category='18')['instances'] == 1

    def test_unknown_images_are_refused(self, setup, tmp_path):
        strangers = [dict(file_name=f'stranger{index}.jpg', bbox=self.FIRST) for index in range(7)]
        boxes = self.list_of(setup, tmp_path, *strangers)
        with pytest.raises(ValueError, match=r'7 images .*stranger0\.jpg.*stranger4\.jpg, …'):
            setup.infer(setup.images, boxes=boxes)

    def test_unknown_ids_are_refused(self, setup, tmp_path):
        boxes = self.list_of(setup, tmp_path, dict(image_id=5, bbox=self.FIRST), dict(image_id=6, bbox=self.FIRST))
        with pytest.raises(ValueError, match='--ann-file'):
            setup.infer(setup.images, boxes=boxes)
        ann_file = write_json(tmp_path / 'ann.json', dict(images=[dict(id=5, file_name=NAMES[0])], annotations=[]))
        with pytest.raises(ValueError, match='1 image ids .* such as 6'):
            setup.infer(setup.images, boxes=boxes, ann_file=ann_file)
        with pytest.raises(ValueError, match='omit ann_file'):
            setup.infer(setup.images, boxes=ann_file, ann_file=ann_file)

    @pytest.mark.parametrize('content, message', [
        ([dict(file_name=NAMES[0], bbox=[1, 2, 3])], 'entry 0 .* four finite'),
        ([dict(file_name=NAMES[0])], 'entry 0 .* four finite'),
        ([dict(file_name=NAMES[0], bbox=[0, 0, 9, float('nan')])], 'entry 0 .* four finite'),
        ([dict(bbox=[0, 0, 9, 9])], 'neither file_name nor image_id'),
        (dict(boxes=[]), 'list of detections'),
        (dict(images=[dict(id=1)], annotations=[]), 'file_name'),
    ])
    def test_malformed_files_are_refused(self, setup, tmp_path, content, message):
        with pytest.raises(ValueError, match=message):
            setup.infer(setup.images, boxes=write_json(tmp_path / 'boxes.json', content))

    def test_files_that_are_not_json_are_refused(self, setup, tmp_path):
        (tmp_path / 'boxes.json').write_text('x, y')
        with pytest.raises(ValueError, match='not JSON'):
            setup.infer(setup.images, boxes=tmp_path / 'boxes.json')

    @pytest.mark.parametrize('ids, shown', [((777, 'a'), r"such as 'a', 777: take"), (('1', ), r"such as '1': take")])
    def test_image_ids_of_other_kinds(self, setup, tmp_path, ids, shown):
        boxes = self.list_of(setup, tmp_path, *(dict(image_id=one, bbox=self.FIRST) for one in ids))
        catalog = write_json(tmp_path / 'catalog.json', dict(images=[dict(id=1, file_name='000000000001.jpg')]))
        with pytest.raises(ValueError, match=shown):
            setup.infer(setup.images, boxes=boxes, ann_file=catalog)

    def test_video_takes_no_boxes(self, setup, tmp_path):
        writer = cv2.VideoWriter(str(tmp_path / 'walk.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, SIZE)
        writer.write(read(setup, NAMES[0]))
        writer.release()
        with pytest.raises(ValueError, match='is a video'):
            setup.infer(tmp_path / 'walk.avi', boxes=self.list_of(setup, tmp_path))


class TestModel:

    def test_keypoint_names_from_the_config(self, setup, tmp_path):
        config = write_config(tmp_path / 'mpii.py', joints=16, dataset='MpiiDataset')
        save_random(config, tmp_path / 'mpii.pth')  # no dataset_meta
        setup.infer(setup.images / NAMES[0], config=config, checkpoint=tmp_path / 'mpii.pth')
        found = setup.predictions()
        assert found['keypoint_names'][0] == 'right_ankle' and len(found['keypoint_names']) == 16

    def test_keypoints_without_names_are_refused(self, setup, tmp_path):
        config = write_config(tmp_path / 'config.py', joints=18)
        config.write_text(config.read_text().replace('flip_test=True', 'flip_test=False'))
        save_random(config, tmp_path / 'model.pth')
        with pytest.raises(ValueError, match='18 keypoints.*17'):
            setup.infer(setup.images, config=config, checkpoint=tmp_path / 'model.pth')

    def test_checkpoint_of_another_model_is_refused(self, setup, tmp_path):
        config = write_config(tmp_path / 'config.py', joints=16)
        with pytest.raises(ValueError, match='another shape.*head.predictors'):
            setup.infer(setup.images, config=config)
        torch.save(dict(state_dict={'stage0.weight': torch.zeros(1)}), tmp_path / 'other.pth')
        with pytest.raises(ValueError, match='tools/convert_checkpoint.py'):
            setup.infer(setup.images, checkpoint=tmp_path / 'other.pth')

    def test_nan_is_refused(self, setup, tmp_path):
        weights = read_checkpoint(setup.checkpoint)['state_dict']
        torch.save(dict(state_dict={key: value * float('nan') if value.is_floating_point() else value
                                    for key, value in weights.items()}), tmp_path / 'nan.pth')
        with pytest.raises(ValueError, match='nan.pth holds weights that are NaN or infinite'):
            setup.infer(setup.images, checkpoint=tmp_path / 'nan.pth')
        assert not (setup.out / 'predictions.json').exists()


class TestRefusals:

    @pytest.mark.parametrize('changes, message', [
        (dict(boxes='a.json', det_config='b.py', det_checkpoint='c.pth'), 'exclude each other'),
        (dict(det_config='b.py'), 'belong together'),
        (dict(det_checkpoint='b.pth'), 'belong together'),
        (dict(ann_file='a.json'), 'there are no boxes'),
        (dict(bbox_thr=1.5), r'bbox_thr must be 0 to 1, got 1.5'),
        (dict(kpt_thr=-1), 'kpt_thr must be >= 0, got -1'),
        (dict(fast='int8'), "fast must be one of float32, bfloat16, float16, got 'int8'"),
        (dict(device='cuda:99'), r"device must be .* got 'cuda:99'"),
        (dict(device='toaster'), r"device must be .* got 'toaster'"),
    ])
    def test_options(self, setup, changes, message):
        with pytest.raises(ValueError, match=message):
            setup.infer(setup.images, **changes)
        assert not setup.out.exists()

    @pytest.mark.parametrize('name', ['source', 'config', 'checkpoint', 'boxes'])
    def test_missing_files(self, setup, tmp_path, name):
        with pytest.raises(FileNotFoundError, match=f'{name} .*nowhere does not exist'):
            setup.infer(**{'source': setup.images, name: tmp_path / 'nowhere'})

    def test_sources(self, setup, tmp_path):
        (tmp_path / 'notes.txt').write_text('no picture')
        (tmp_path / 'broken.png').write_bytes(b'no picture')
        (tmp_path / 'broken.mp4').write_bytes(b'no video')
        (tmp_path / 'folder').mkdir()
        for name, message in (('notes.txt', r"suffix '\.txt'"), ('folder', 'holds no image'),
                              ('broken.png', 'no image of source .* can be decoded'), ('broken.mp4', 'cannot open')):
            with pytest.raises(ValueError, match=message):
                setup.infer(tmp_path / name)

    def test_out_dir(self, setup, tmp_path):
        with pytest.raises(ValueError, match='overwritten'):
            setup.infer(setup.images, out_dir=setup.images)
        with pytest.raises(ValueError, match='overwritten'):
            setup.infer(setup.images / NAMES[0], out_dir=setup.images)
        (tmp_path / 'file').write_text('')
        with pytest.raises(OSError, match='cannot be written to'):
            setup.infer(setup.images, out_dir=tmp_path / 'file')

    def test_config_without_test_pipeline(self, setup, tmp_path):
        config = write_config(tmp_path / 'config.py', loader='train_dataloader')
        with pytest.raises(ValueError, match='no test_dataloader'):
            setup.infer(setup.images, config=config)


class TestDetector:
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

    def test_mmdet(self, setup, tmp_path):
        """The boxes are the persons found by mmdet's own inference, as x, y, width, height."""
        pytest.importorskip('mmdet', reason='mmdet is not installed')
        from mmdet.apis import inference_detector, init_detector
        from mmdet.registry import MODELS as MMDET_MODELS
        from mmengine.registry import DefaultScope
        config, checkpoint = tmp_path / 'detector.py', tmp_path / 'detector.pth'
        config.write_text(self.CONFIG)
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope('mmdet'):
            weights = MMDET_MODELS.build(Config.fromfile(config).model).state_dict()
        # Random weights detect nothing: raise the scores of a person (class 0) and a bicycle (class 1) everywhere.
        for level, bias in enumerate((1., 2., 3.)):
            weights[f'bbox_head.rtm_cls.{level}.bias'][:2] = torch.tensor([bias, bias - 0.5 + 0.5 * level])
            weights[f'bbox_head.rtm_reg.{level}.bias'][:] = torch.tensor([1., 1.5, 2., 2.5])
        torch.save(dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=('person', 'bicycle')))), checkpoint)
        setup.infer(setup.images, det_config=config, det_checkpoint=checkpoint, bbox_thr=0.4)
        images = setup.predictions()['images']

        model = init_detector(str(config), str(checkpoint), device='cpu')
        with DefaultScope.overwrite_default_scope('mmdet'):
            found = [inference_detector(model, read(setup, name)).pred_instances for name in NAMES]
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
            assert joints_of(image) == setup.expected(read(setup, image['image']), boxes)

    def test_mmdet_absent(self, setup, monkeypatch):
        monkeypatch.setitem(sys.modules, 'mmdet.apis', None)  # makes the import fail
        with pytest.raises(ImportError, match=r'pip install "mmdet>=3\.0,<3\.4"'):
            setup.infer(setup.images, det_config='a.py', det_checkpoint='a.pth')


def test_command_line(setup, tmp_path):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    (folder / NAMES[0]).write_bytes((setup.images / NAMES[0]).read_bytes())
    (folder / 'broken.jpg').write_bytes(b'no picture')
    done = python(TOOL, folder, setup.config, setup.checkpoint, '--out', setup.out, '--device', 'cpu')
    assert done.returncode == 0, done.stderr
    assert 'broken.jpg' in done.stdout
    assert '1 people in 1 images; 1 images skipped' in done.stdout.splitlines()[-1]
    assert '2/2' in done.stderr  # the progress bar
    assert joints_of(setup.predictions()['images'][0]) == setup.expected(read(setup, NAMES[0]))


def test_command_line_names_the_error(setup, monkeypatch, capsys):
    arguments = ['nowhere', setup.config, setup.checkpoint, '--out', setup.out]
    monkeypatch.setattr(sys, 'argv', ['infer.py', *map(str, arguments)])
    with pytest.raises(SystemExit) as raised:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert raised.value.code == 1
    assert 'error: source nowhere does not exist' in capsys.readouterr().err
