"""load and predict: one object, the results of inference_topdown, bounded memory, and one sentence for wrong input."""
import gc
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import inference_topdown, init_model

import mmpose_mspn
from mmpose_mspn.apis.config import config_path
from mmpose_mspn.apis.load import configs_for
from mmpose_mspn.apis.pose_model import PoseResult
from mmpose_mspn.checkpoints import CheckpointError, convert, read_checkpoint
from tests.building import backbone, head
from tests.model_files import save_random, write_config
from tests.places import DEMO

BOXES = [[10, 5, 40, 70], [50.5, 20, 30, 55.25], [-8, -3, 60, 40]]
FLIPPED = [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12], [13, 14], [15, 16]]


class Setup:

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = write_config(root / 'config.py')
        self.checkpoint = root / 'model.pth'
        save_random(self.config, self.checkpoint, cfg=Config.fromfile(self.config).pretty_text)
        self.reference = init_model(str(self.config), str(self.checkpoint), device='cpu')
        self.model = mmpose_mspn.load(self.checkpoint, device='cpu', fast=False)
        draw = np.random.default_rng(0)
        self.images = [draw.integers(0, 256, (80 + 3 * index, 96, 3), dtype=np.uint8) for index in range(7)]
        self.paths = [root / f'{index}.png' for index in range(7)]
        for path, image in zip(self.paths, self.images):
            cv2.imwrite(str(path), image)

    def expected(self, image, boxes=None) -> np.ndarray:
        """Keypoints and scores (N, K, 3) that mmpose predicts."""
        boxes = None if boxes is None else np.array(boxes, np.float32)
        found = [one.pred_instances for one in inference_topdown(self.reference, image, boxes, 'xywh')]
        return np.stack([np.concatenate([one.keypoints[0], one.keypoint_scores[0][:, None]], 1) for one in found])


@pytest.fixture(scope='module')
def setup(tmp_path_factory) -> Setup:
    return Setup(tmp_path_factory.mktemp('load'))


def both(result: PoseResult) -> np.ndarray:
    return np.concatenate([result.keypoints, result.scores[..., None]], -1)


class TestPredict:

    def test_one_image(self, setup):
        """The crops are mmpose's, so the keypoints are equal bit by bit where the batches are."""
        for image in (setup.paths[0], str(setup.paths[0]), setup.images[0]):
            result = setup.model.predict(image, BOXES)
            assert (both(result) == setup.expected(setup.images[0], BOXES)).all()
        assert result.keypoints.shape == (3, 17, 2) and result.scores.shape == (3, 17) and len(result) == 3
        assert result.names[0] == 'nose' and result.names[16] == 'right_ankle' and (15, 13) in result.skeleton
        assert (result.boxes == np.array(BOXES, np.float32)).all()
        whole = setup.model.predict(setup.images[0])
        assert (both(whole) == setup.expected(setup.images[0])).all() and whole.boxes.tolist() == [[0, 0, 96, 80]]

    def test_boxes_by_corners(self, setup):
        corners = [[x, y, x + w, y + h] for x, y, w, h in BOXES]
        found = setup.model.predict(setup.images[0], corners, bbox_format='xyxy')
        np.testing.assert_allclose(both(found), setup.expected(setup.images[0], BOXES), atol=1e-3)

    def test_a_list_in_batches_across_images(self, setup):
        boxes = [BOXES[:1], None, BOXES, np.zeros((0, 4)), BOXES[1:], [], None]
        results = setup.model.predict(setup.images, boxes, batch_size=4)
        assert isinstance(results, list) and [len(one) for one in results] == [1, 1, 3, 0, 2, 0, 1]
        for result, image, own in zip(results, setup.images, boxes):
            if own is None or len(own):
                np.testing.assert_allclose(both(result), setup.expected(image, own), atol=1e-3)
            else:
                assert result.keypoints.shape == (0, 17, 2) and result.scores.shape == (0, 17)
        assert setup.model.predict([]) == []

    def test_accelerated_copy(self, setup):
        fast = mmpose_mspn.load(setup.checkpoint, device='cpu')
        gaps = np.abs(both(fast.predict(setup.images[0], BOXES)) - setup.expected(setup.images[0], BOXES))
        assert np.median(gaps) < 1e-3
        lower = mmpose_mspn.load(setup.checkpoint, device='cpu', dtype='bfloat16')
        assert lower.network.dtype == torch.bfloat16 and lower.predict(setup.images[0]).keypoints.shape == (1, 17, 2)

    def test_the_network_runs_once_per_batch(self, setup):
        model = mmpose_mspn.load(setup.checkpoint, device='cpu', fast=False)
        sizes = []
        model.network.backbone.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
        model.predict(setup.images, [BOXES[:1]] * 7, batch_size=3)
        assert sizes == [3, 3, 3, 3, 1, 1]  # mmpose's estimator runs the mirrored crops by themselves

    def test_an_iterator_is_read_as_it_is_asked_for(self, setup):
        read = []

        def images():
            for number, image in enumerate(setup.images):
                read.append(number)
                yield image

        results = setup.model.predict(images(), iter([BOXES] * 7), batch_size=3)
        assert read == []
        first = next(results)
        assert read == [0] and (both(first) == setup.expected(setup.images[0], BOXES)).all()
        assert len(list(results)) == 6 and read == list(range(7))

    def test_folders_and_videos_are_streams(self, setup, tmp_path):
        folder = tmp_path / 'pictures'
        folder.mkdir()
        for index in (1, 0):
            cv2.imwrite(str(folder / f'{index}.png'), setup.images[index])
        found = list(setup.model.predict(folder, batch_size=1))
        assert [(both(one) == setup.expected(image)).all() for one, image in zip(found, setup.images)] == [True, True]
        writer = cv2.VideoWriter(str(tmp_path / 'walk.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 12, (96, 80))
        for index in range(3):
            writer.write(setup.images[index][:80])
        writer.release()
        video = setup.model.predict(tmp_path / 'walk.avi', batch_size=1)
        capture = cv2.VideoCapture(str(tmp_path / 'walk.avi'))
        frames = [capture.read()[1] for _ in range(3)]
        assert all((both(one) == setup.expected(frame)).all() for one, frame in zip(video, frames))
        assert next(video, None) is None

    def test_memory_does_not_grow_with_the_boxes(self, setup):
        """At no time are there more crops than a batch has, however many boxes an image has."""
        model = mmpose_mspn.load(setup.checkpoint, device='cpu', fast=False)
        alive, most, make = weakref.WeakSet(), [], model.pipeline

        def counted(data: dict) -> dict:
            crop = make(data)
            alive.add(crop['data_samples'])
            most.append(len(alive))
            return crop

        model.pipeline = counted
        assert len(model.predict(setup.images[0], BOXES * 20, batch_size=5)) == 60
        gc.collect()
        assert max(most) <= 6 and not alive  # those of the last batch may wait for the garbage collector

    def test_images_of_files_are_not_kept(self, setup):
        seen = []
        model = mmpose_mspn.load(setup.checkpoint, device='cpu', fast=False)
        make = model.pipeline

        def noted(data: dict) -> dict:
            seen.append(weakref.ref(data['img']))
            return make(data)

        model.pipeline = noted
        results = model.predict(setup.paths, batch_size=2)
        gc.collect()
        assert len(results) == len(seen) == 7 and all(image() is None for image in seen)
        assert (results[3].image == setup.images[3]).all()


class TestResult:

    def test_to_coco(self, setup):
        result = setup.model.predict(setup.images[0], BOXES)
        entries = result.to_coco(image_id=7, category_id=2)
        assert [entry['bbox'] for entry in entries] == BOXES and all(entry['image_id'] == 7 for entry in entries)
        first = entries[0]
        assert first['category_id'] == 2 and len(first['keypoints']) == 51
        assert first['keypoints'][:3] == [*result.keypoints[0, 0], result.scores[0, 0]]
        assert first['score'] == pytest.approx(result.scores[0].mean())

    def test_draw(self, setup):
        before = setup.images[0].copy()
        result = setup.model.predict(setup.images[0], BOXES)
        drawn = result.draw(threshold=0)
        assert drawn.shape == before.shape and drawn.dtype == np.uint8 and (setup.images[0] == before).all()
        inside = result.keypoints[0].astype(int)
        inside = inside[((inside >= 0) & (inside < (96, 80))).all(1)]
        assert len(inside) and (drawn != before)[inside[:, 1], inside[:, 0]].any(-1).all()
        assert (result.draw(threshold=9) == before).all()
        assert (setup.model.predict(setup.paths[0], np.zeros((0, 4))).draw() == before).all()
        with pytest.raises(ValueError, match='threshold must be >= 0, got -1'):
            result.draw(-1)

    def test_what_the_model_says_of_itself(self, setup):
        model = setup.model
        assert (model.input_size, model.codec) == ((48, 64), 'CoarseToFineHeatmap')
        assert [list(pair) for pair in model.flip_pairs] == FLIPPED and len(model.names) == 17
        assert repr(model) == 'TorchPoseModel(17 keypoints, input 48×64 px, codec CoarseToFineHeatmap)'


class TestConfigs:

    def test_given_as_file_name_or_object(self, setup, tmp_path):
        save_random(setup.config, tmp_path / 'bare.pth')
        given = Config.fromfile(setup.config)
        before = given.to_dict()
        for config in (setup.config, str(setup.config), given):
            model = mmpose_mspn.load(tmp_path / 'bare.pth', config, device='cpu', fast=False)
            assert (both(model.predict(setup.images[0])) == setup.expected(setup.images[0])).all()
        assert given.to_dict() == before
        name = DEMO.stem
        assert config_path(name).samefile(config_path(f'{name}.py')) and config_path(name).name == f'{name}.py'
        with pytest.raises(FileNotFoundError, match="config td-hm_2xmspn18-smal .*did you mean 'td-hm_2xmspn18-small"):
            mmpose_mspn.load(tmp_path / 'bare.pth', 'td-hm_2xmspn18-smal', device='cpu')

    @pytest.mark.parametrize('layout', ['official', 'mmpose', 'mmpose_mspn'])
    def test_a_file_without_config_is_recognized(self, tmp_path, layout):
        """The configs that fit the weights are named; with one of them the file loads."""
        weights = torch.nn.ModuleDict(dict(backbone=backbone(2, unit_channels=256), head=head(2, unit_channels=256)))
        converted = convert(weights.state_dict(), layout)
        assert configs_for(converted) == ['td-hm_2xmspn18_8xb32-96k_coco-256x192']
        torch.save(dict(model=converted) if layout == 'official' else converted, tmp_path / 'model.pth')
        who = dict(official='the official code', mmpose="mmpose's MSPN", mmpose_mspn='this package')[layout]
        with pytest.raises(ValueError, match=rf'model.pth carries no config, .* layout of {who}\): give config=, .* '
                           'such as td-hm_2xmspn18_8xb32-96k_coco-256x192$'):
            mmpose_mspn.load(tmp_path / 'model.pth', device='cpu')
        if layout == 'official':
            model = mmpose_mspn.load(tmp_path / 'model.pth', 'td-hm_2xmspn18_8xb32-96k_coco-256x192', device='cpu')
            assert model.input_size == (192, 256)

    def test_another_model(self, setup, tmp_path):
        torch.save(dict(state_dict={'fc.weight': torch.zeros(1)}), tmp_path / 'other.pth')
        with pytest.raises(ValueError, match='its layout is not one of MSPN'):
            mmpose_mspn.load(tmp_path / 'other.pth', device='cpu')
        with pytest.raises(CheckpointError, match='does not fill the model'):
            mmpose_mspn.load(tmp_path / 'other.pth', setup.config, device='cpu')

    def test_a_bottom_up_config(self, setup, tmp_path):
        path = tmp_path / 'config.py'
        path.write_text(setup.config.read_text().replace("    dict(type='TopdownAffine', input_size=(48, 64)),\n", ''))
        with pytest.raises(ValueError, match='no step TopdownAffine'):
            mmpose_mspn.load(setup.checkpoint, path, device='cpu')


class TestRefusals:
    GRAY = np.zeros((8, 8), np.uint8)

    @pytest.mark.parametrize('images, options, message', [
        ('nowhere.jpg', {}, 'image nowhere.jpg does not exist'),
        (GRAY, {}, r'image 0 must be .* BGR uint8, got a gray image of shape \(8, 8\): convert it with cv2.cvtColor'),
        (GRAY[..., None], {}, 'got a gray image'),
        (np.zeros((8, 8, 4), np.uint8), {}, r'got the shape \(8, 8, 4\)'),
        (np.zeros((2, 8, 8, 3), np.uint8), {}, 'give several images as a list'),
        (np.zeros((0, 8, 3), np.uint8), {}, r'got the shape \(0, 8, 3\)'),
        (np.zeros((8, 8, 3)), {}, 'got float64: give values 0 to 255 as uint8'),
        ([GRAY], {}, 'image 0 must be'),
        ([None], {}, 'image 0 .* must be a path or an array .* got NoneType'),
        (torch.zeros(8, 8, 3), {}, 'images must be the path .* got Tensor'),
        (7, {}, 'images must be the path .* got int'),
        (None, {}, 'images must be the path .* got NoneType'),
        ('image', dict(boxes=[[1, 2, 3]]), r'the boxes of image 0 must be N × 4 numbers \(xywh\), got the shape'),
        ('image', dict(boxes=[1, 2, 3, 4]), r'must be N × 4 numbers \(xywh\), got the shape \(4,\)'),
        ('image', dict(boxes=[['a', 2, 3, 4]]), 'must be N × 4 numbers'),
        ('image', dict(boxes=[[1, 2, 3, 4], [1, 2]]), 'must be N × 4 numbers'),
        ('image', dict(boxes=[[0, 0, 9, float('nan')]]), r'box 0 of image 0, \[.*nan\], is not finite'),
        ('image', dict(boxes=[[0, 0, float('inf'), 9]]), 'is not finite'),
        ('image', dict(boxes=[[1, 2, 9, 9], [3, 4, 0, 9]]), 'box 1 of image 0, .* has no positive size as xywh'),
        ('image', dict(boxes=[[9, 9, 3, 30]], bbox_format='xyxy'), 'has no positive size as xyxy'),
        ('image', dict(boxes=[[96, 0, 9, 9]]), r'lies outside of the image \(96 × 80 px\)'),
        ('image', dict(boxes=[[-9, 0, 9, 9]]), 'lies outside of the image'),
        ('image', dict(bbox_format='cxcywh'), "bbox_format must be one of xywh, xyxy, got 'cxcywh'"),
        ('image', dict(batch_size=0), 'batch_size must be an integer >= 1, got 0'),
        ('image', dict(batch_size=2.5), 'batch_size must be an integer >= 1, got 2.5'),
        ('images', dict(boxes=[None]), r'boxes must have one entry per image \(7\), got 1'),
        ('images', dict(boxes=iter([None])), r'boxes must have one entry per image \(7\), got list_iterator'),
    ])
    def test_predict(self, setup, images, options, message):
        images = dict(image=setup.images[0], images=setup.images).get(images, images) if isinstance(
            images, str) else images
        with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
            setup.model.predict(images, **options)
        assert '\n' not in str(error.value)

    def test_boxes_of_a_stream_end_early_or_late(self, setup):
        with pytest.raises(ValueError, match='boxes end after 1 entries, but there are more images'):
            list(setup.model.predict(iter(setup.images), iter([None])))
        with pytest.raises(ValueError, match='boxes have more entries than there are images'):
            list(setup.model.predict(iter(setup.images[:1]), [None, None]))

    def test_a_file_that_is_no_image(self, setup, tmp_path):
        (tmp_path / 'broken.jpg').write_bytes(b'no picture')
        with pytest.raises(ValueError, match='broken.jpg cannot be decoded'):
            setup.model.predict([setup.paths[0], tmp_path / 'broken.jpg'])

    @pytest.mark.parametrize('options, message', [
        (dict(checkpoint='nowhere.pth'), 'checkpoint nowhere.pth does not exist'),
        (dict(checkpoint='nowhere.onnx'), 'checkpoint nowhere.onnx does not exist'),
        (dict(device='toaster'), "device must be .* got 'toaster'"),
        (dict(dtype='int8'), "dtype must be one of float32, bfloat16, float16, got 'int8'"),
        (dict(dtype=torch.int8), 'dtype must be one of float32, bfloat16, float16, got torch.int8'),
        (dict(dtype=torch.bfloat16, fast=False), 'needs the accelerated copy'),
        (dict(config='nowhere.py'), 'config nowhere.py does not exist'),
    ])
    def test_load(self, setup, options, message):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            mmpose_mspn.load(**{'checkpoint': setup.checkpoint, 'device': 'cpu', **options})

    def test_weights_that_are_not_finite(self, setup, tmp_path):
        content = read_checkpoint(setup.checkpoint)
        content['state_dict']['head.predictors.1.3.1.conv.weight'].fill_(float('nan'))
        torch.save(content, tmp_path / 'nan.pth')
        with pytest.raises(CheckpointError, match='NaN or infinite'):
            mmpose_mspn.load(tmp_path / 'nan.pth', device='cpu')
