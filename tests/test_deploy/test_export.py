"""Exported files predict as PyTorch, describe themselves, and are refused where they would not."""
import json
import subprocess
import sys
import venv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmpose.apis import inference_topdown
from PIL import Image

import mspn_runtime
from mmpose_mspn import accelerate, export
from mmpose_mspn.codecs.decode import decode
from mmpose_mspn.deploy.check import compare
from mmpose_mspn.deploy.export import _pictures_to_check, _refuse_differing
from mmpose_mspn.deploy.pose_graph import GraphCrop
from tests.exporting import onnx, onnxruntime
from tests.generated import drawn_pictures
from tests.test_deploy import exported

PICTURES = drawn_pictures(4)
BOXES = np.float32([[10, 20, 100, 150], [30.5, -10, 80, 100.25], [250, 100, 100, 300]])


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return exported.build()


@pytest.fixture(scope='module')
def path(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('export') / 'model.onnx'
    found = export(model, path, pictures=PICTURES)
    assert found['largest_px'] <= 1e-3 and found['keypoints'] == 17 * found['people'] >= 4 * 17
    return path


def expected(model, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    samples = inference_topdown(model, image, boxes, bbox_format='xywh')
    found = [sample.pred_instances for sample in samples]
    return np.concatenate([np.dstack([one.keypoints, one.keypoint_scores]) for one in found])


def test_one_named_input_two_outputs_and_any_number_of_people(path):
    session = onnxruntime.InferenceSession(path)
    crops, = session.get_inputs()
    assert (crops.name, crops.shape, crops.type) == ('crops', ['people', 3, 64, 48], 'tensor(uint8)')
    assert [(one.name, one.shape) for one in session.get_outputs()] == [
        ('keypoints', ['people', 17, 2]), ('scores', ['people', 17])]
    draw = np.random.default_rng(0).integers(0, 256, (5, 3, 64, 48), np.uint8)
    for people in (0, 1, 5):
        keypoints, scores = session.run(['keypoints', 'scores'], dict(crops=draw[:people]))
        assert keypoints.shape == (people, 17, 2) and scores.shape == (people, 17)


@pytest.mark.parametrize('backend', ('onnxruntime', 'openvino'))
def test_the_runtime_beside_it_predicts_as_pytorch(model, path, backend):
    pose = mspn_runtime.Pose(path, backend)
    image = PICTURES[0].image
    found = pose(image, BOXES, batch_size=2)
    np.testing.assert_allclose(found, expected(model, image, BOXES), rtol=0, atol=1e-3)
    assert pose(image, []).shape == (0, 17, 3)
    whole = np.float32([[0, 0, image.shape[1], image.shape[0]]])
    np.testing.assert_array_equal(pose(image), pose(image, whole))
    assert (path.parent / 'mspn_runtime.py').read_bytes() == Path(mspn_runtime.__file__).read_bytes()


def test_what_a_file_says_about_itself(model, path):
    stored = {one.key: one.value for one in onnx.load(path).metadata_props}
    assert (stored['format'], stored['format_version']) == ('mmpose_mspn', '1')
    assert (stored['input'], stored['color_order'], stored['precision']) == ('crops', 'BGR', 'fp32')
    assert json.loads(stored['input_size']) == [48, 64] and json.loads(stored['flip_test']) is True
    assert json.loads(stored['box_padding']) == pytest.approx([1.09, 1.135])
    assert json.loads(stored['keypoint_names'])[:3] == ['nose', 'left_eye', 'right_eye']
    assert json.loads(stored['flip_indices'])[:3] == [0, 2, 1] and [15, 13] in json.loads(stored['skeleton'])
    assert json.loads(stored['score_rule'])['person'] == 'bbox_keypoint'
    assert len(stored['weights_sha256']) == 64 and 'TopdownAffine' in stored['config']
    pose = mspn_runtime.Pose(path)
    assert pose.flip_pairs[0] == [1, 2] and len(pose.flip_pairs) == 8


@pytest.mark.parametrize('parts', [
    dict(backbone=exported.CPN, head=exported.CPN_HEAD),
    dict(backbone=dict(exported.ENCODER, out_indices=(2, )), head=exported.HEATMAP_HEAD,
         kind='mmpose.TopdownPoseEstimator', step=dict(type='GetBBoxCenterScale')),
], ids=('CPN', "mmpose's head"))
def test_other_heads(parts, tmp_path):
    assert export(exported.build(**parts), tmp_path / 'model.onnx', pictures=PICTURES)['largest_px'] <= 1e-3


def test_one_stage_without_flip_test_and_with_heatmaps(model, tmp_path):
    path = tmp_path / 'model.onnx'
    export(model, path, pictures=PICTURES, flip=False, stages=1, heatmaps=True)
    session = onnxruntime.InferenceSession(path)
    crops = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 48), np.uint8)
    keypoints, _, heatmaps = session.run(['keypoints', 'scores', 'heatmaps'], dict(crops=crops))
    whole = exported.build()
    whole.load_state_dict(model.state_dict())
    inputs = whole.data_preprocessor(dict(inputs=list(torch.from_numpy(crops)), data_samples=[]), False)['inputs']
    with torch.no_grad():
        maps = whole.head(whole.extract_feat(inputs))[0][-1]
    np.testing.assert_allclose(heatmaps, maps.numpy(), rtol=0, atol=1e-4 * maps.std().item())
    np.testing.assert_allclose(keypoints, np.concatenate(whole.head.decoder.batch_decode(maps)[0]), atol=1e-4)


def test_the_graphs_crops_are_the_runtimes():
    """Boxes within the image and beyond it, in one call; the runtime's crops are compared with OpenCV's elsewhere."""
    draw = np.random.default_rng(0)
    for size in ((48, 64), (256, 256)):
        image = draw.integers(0, 256, (120, 150, 3), np.uint8)
        boxes = np.float32(np.concatenate([draw.uniform(-40, 150, (40, 2)), draw.uniform(1, 300, (40, 2))], 1))
        padding = [1.0900000333786011, 1.1350001096725464]
        crops, centers, sizes = GraphCrop(size, padding)(torch.from_numpy(image), torch.from_numpy(boxes))
        expected_centers, expected_sizes = mspn_runtime.box_regions(boxes, padding, size)
        np.testing.assert_array_equal(centers, expected_centers)
        np.testing.assert_array_equal(sizes, expected_sizes)
        for crop, center, region in zip(crops, expected_centers, expected_sizes):
            np.testing.assert_array_equal(crop, mspn_runtime.cut(image, center, region[0], size))


def test_a_graph_that_takes_the_image(model, tmp_path):
    path = tmp_path / 'model.onnx'
    assert export(model, path, input='image', pictures=PICTURES)['largest_px'] <= 1e-3
    session = onnxruntime.InferenceSession(path)
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        ('image', ['height', 'width', 3]), ('boxes', ['people', 4])]
    image = PICTURES[1].image[:150, :201]
    keypoints, scores = session.run(None, dict(image=np.ascontiguousarray(image), boxes=BOXES))
    np.testing.assert_allclose(np.dstack([keypoints, scores]), expected(model, image, BOXES), rtol=0, atol=1e-3)
    assert mspn_runtime.Pose(path)(image, []).shape == (0, 17, 3)


@pytest.fixture(scope='module')
def half(model, tmp_path_factory) -> Path:
    """The file in float16, which is compared with the one in float32."""
    path = tmp_path_factory.mktemp('fp16') / 'model.onnx'
    assert export(model, path, precision='fp16', pictures=PICTURES)['largest_score'] > 0
    return path


def test_fp16_is_of_the_backbone_alone(half):
    weights = [one for one in onnx.load(half).graph.initializer if len(one.dims) == 4]
    kinds = {part: {one.data_type for one in weights if f'{part}.' in one.name} for part in ('backbone', 'head')}
    assert kinds == dict(backbone={onnx.TensorProto.FLOAT16}, head={onnx.TensorProto.FLOAT})
    assert mspn_runtime.Pose(half).metadata['precision'] == 'fp16'


@pytest.mark.parametrize('backend', ('onnxruntime', 'openvino'))
def test_fp16_predicts_nearly_the_same(path, half, backend):
    exact, near = (mspn_runtime.Pose(one, backend)(PICTURES[0].image, BOXES) for one in (path, half))
    moved = np.abs(near[..., 2] - exact[..., 2])
    assert moved.max() < 0.02 * exact[..., 2].std() and (moved.max() > 0 or backend == 'openvino')
    assert np.median(np.linalg.norm(near[..., :2] - exact[..., :2], axis=-1)) < 0.01


def test_int8_ends_before_the_predictor(model, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules['mmpose_mspn.deploy.export'], 'LEAST_CLOSE', 0.)  # untrained: no clear peaks
    path = tmp_path / 'model.onnx'
    export(model, path, precision='int8', pictures=PICTURES, calibration=drawn_pictures(16))
    graph = onnx.load(path).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    convolutions = [[made.get(name) for name in node.input[:2]] for node in graph.node if node.op_type == 'Conv']
    assert all(kinds == ['DequantizeLinear'] * 2 for kinds in convolutions[:-2])
    assert 'DequantizeLinear' not in [kinds[1] for kinds in convolutions[-2:]]
    assert mspn_runtime.Pose(path, 'openvino')(PICTURES[0].image, BOXES).shape == (3, 17, 3)


def test_fewer_than_16_people_are_no_calibration(model, tmp_path):
    with pytest.raises(ValueError, match='calibration must have at least 16 crops, .*, got 3'):
        export(model, tmp_path / 'model.onnx', precision='int8', calibration=[PICTURES[0]._replace(boxes=BOXES)])


def test_without_test_data_the_file_is_checked_on_random_images(model, tmp_path):
    compared = export(model, tmp_path / 'model.onnx')
    assert compared['people'] == 16 and compared['largest_px'] <= 1e-3
    chosen = _pictures_to_check(model, PICTURES, 16)
    assert list(chosen) == PICTURES  # those of a calibration


def test_a_file_that_differs_is_not_kept(model, tmp_path, monkeypatch):
    monkeypatch.setattr('mmpose_mspn.deploy.pose_graph.decode',
                        lambda *args: [result + 0.01 for result in decode(*args)])
    with pytest.raises(ValueError, match='the exported keypoints lie up to .* image px from those of PyTorch'):
        export(model, tmp_path / 'model.onnx', pictures=PICTURES)
    assert list(tmp_path.iterdir()) == []


def test_the_check_uses_the_crops_that_the_file_gets(model, path, tmp_path, monkeypatch):
    """As under OpenCV 5, whose warpAffine cuts other crops: a third of a px is added to all positions."""
    cut, moves = cv2.warpAffine, np.array([0, 0, 1 / 3])
    monkeypatch.setattr(cv2, 'warpAffine', lambda image, matrix, *args, **kwargs: cut(
        image, matrix + moves, *args, **kwargs))
    found = compare(path, model, PICTURES)
    assert found['other_crops'] == found['people'] and found['largest_px'] <= 1e-3
    monkeypatch.setattr(cv2, '__version__', '5.0.0')
    _refuse_differing(found, 'fp32')
    monkeypatch.setattr(cv2, '__version__', '4.11.0')
    with pytest.raises(ValueError, match='OpenCV 4.11.0 cuts other crops of .* people than the exported'):
        export(model, tmp_path / 'model.onnx', pictures=PICTURES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('options, message', [
    (dict(path='model.pt'), 'path must end with .onnx'),
    (dict(input='video'), 'input must be one of crops, image'),
    (dict(precision='int4'), 'precision must be one of fp32, fp16, int8'),
    (dict(calibration=PICTURES), 'calibration is for precision int8'),
    (dict(stages=3), 'stages must be 1 ... num_stages'),
])
def test_wrong_arguments_are_refused(model, tmp_path, options, message):
    options = dict(dict(path='model.onnx'), **options)
    with pytest.raises(ValueError, match=message):
        export(model, tmp_path / options.pop('path'), **options)


def test_models_that_cannot_be_exported_are_refused_by_name(tmp_path):
    def refused(model, message):
        with pytest.raises(ValueError, match=message):
            export(model, tmp_path / 'model.onnx', pictures=PICTURES)

    refused(accelerate(exported.build()), 'accelerated copy')
    refused(exported.build(shift_test=[(0, 0), (4, 0)]), 'shift_test of the test_cfg cannot be exported')
    refused(exported.build(output_keypoint_indices=[0]), 'output_keypoint_indices')
    udp = exported.build()
    udp.cfg.test_dataloader.dataset.pipeline[2].use_udp = True
    refused(udp, 'TopdownAffine without use_udp')


ALONE = ('numpy', 'numpy.libs', 'PIL', 'pillow.libs', 'onnxruntime', 'flatbuffers', 'google', 'packaging')
"""What pip installs with numpy, Pillow and onnxruntime."""


def test_the_runtime_needs_nothing_else(path, tmp_path):
    """In a virtual environment that holds these packages alone, the written module predicts by its command line."""
    venv.create(tmp_path / 'venv')
    python, out = tmp_path / 'venv' / 'bin' / 'python', tmp_path / 'out.json'
    packages, = (tmp_path / 'venv').glob('lib/python*/site-packages')
    for name in ALONE:
        installed = Path(np.__file__).parents[1] / name
        if installed.exists():
            (packages / name).symlink_to(installed)
    missing = 'import importlib.util as u; print(*map(u.find_spec, ("torch", "cv2", "mmcv", "mmpose", "mmengine")))'
    found = subprocess.run([python, '-I', '-c', missing], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ['None'] * 5
    picture = tmp_path / 'picture.png'
    Image.fromarray(PICTURES[0].image[..., ::-1]).save(picture)
    boxes = [','.join(map(str, box)) for box in BOXES.tolist()]
    subprocess.run([python, '-I', path.with_name('mspn_runtime.py'), path, picture, '--boxes', *boxes, '--out', out],
                   check=True)
    found = json.loads(out.read_text())
    np.testing.assert_allclose(found['people'], mspn_runtime.Pose(path)(PICTURES[0].image, BOXES), rtol=0, atol=1e-6)
    assert found['names'][0] == 'nose' and [15, 13] in found['skeleton']
