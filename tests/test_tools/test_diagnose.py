"""tools/diagnose.py as a real process: on a network, on predictions of other keypoints, and what it refuses."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn.apis.command_line import run_tool
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.diagnosis import diagnose
from mmpose_mspn.apis.inference import infer
from mmpose_mspn.diagnosis.stages import run_pass
from mmpose_mspn.synthetic_people import generate
from tests.launching import python
from tests.places import DEMO, ROOT
from tests.test_diagnosis.planted_people import HANDS, crowd_of_errors
from tests.tools import load_tool

UNDER_DETECTOR_BOXES = 'configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_2xmspn50_8xb32-96k_coco-256x192.py'
TINY = ['test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False', 'test_dataloader.batch_size=4']


def run(*command: object, check: bool = True) -> subprocess.CompletedProcess:
    done = python(*command)
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


@pytest.fixture(scope='module')
def model() -> nn.Module:
    """A network that has not been trained."""
    torch.manual_seed(0)
    model = MODELS.build(load_config(str(DEMO)).model)
    model.init_weights()
    return model.eval()


@pytest.fixture(scope='module')
def checkpoint(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('work') / 'weights.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


@pytest.fixture(scope='module')
def people(model, tmp_path_factory) -> Path:
    """People annotated near what the stages predict, the first stage and the second in turn: both have an AP."""
    root = tmp_path_factory.mktemp('people')
    generate(root, train=1, val=5, workers=1, progress=False)
    cfg = load_config(str(DEMO), data_root=str(root))
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False, batch_size=4)
    predicted = run_pass(model, Runner.build_dataloader(cfg.test_dataloader))
    path, draw = root / 'annotations/person_keypoints_val2017.json', np.random.default_rng(0)
    content = json.loads(path.read_text())
    annotations = {annotation['id']: annotation for annotation in content['annotations']}
    for index, sample in enumerate(predicted.samples):
        points = np.array(annotations[sample['id']]['keypoints'], float).reshape(-1, 3)
        points[:, :2] = predicted.instances[index % 2, 3][index]['keypoints'][0] + draw.normal(0, 2, (17, 2))
        annotations[sample['id']]['keypoints'] = points.ravel().tolist()
    path.write_text(json.dumps(content))
    return root


def test_a_networks_figures_are_those_of_the_test_tool(people, checkpoint, tmp_path):
    done = run('tools/diagnose.py', DEMO, checkpoint, '--data-root', people, '--out', tmp_path / 'out', '--people', 6,
               '--cfg-options', *TINY)
    content = json.loads((tmp_path / 'out/diagnosis.json').read_text())
    counts = content['counts']
    assert done.stdout.splitlines()[-1] == (
        f'AP {content["figure"]["value"]:.3f}: {counts["matched"]} of {counts["people"]} people found, '
        f'{counts["false"]} false positives')
    assert (tmp_path / 'out/index.html').stat().st_size > 1_000_000
    assert len(json.loads((tmp_path / 'out/predictions.json').read_text())) == counts['predictions'] > 5
    assert len(content['viewer']) == 6 and len(content['stages']) == 8
    for stages in (1, 2):
        run('tools/test.py', DEMO, checkpoint, '--stages', stages, '--data-root', people, '--work-dir', tmp_path,
            '--out', tmp_path / 'metrics.json', '--cfg-options', *TINY)
        metrics = json.loads((tmp_path / 'metrics.json').read_text())
        row = next(row for row in content['stages'] if row['stages'] == stages and row['last_unit'])
        assert 0.1 < row['figure'] < 0.9
        assert row['figure'] == pytest.approx(metrics['coco/AP'], abs=1e-6)
    assert content['figure']['value'] == pytest.approx(metrics['coco/AP'], abs=1e-6)
    assert content['metrics'] == pytest.approx({name[5:]: value for name, value in metrics.items()}, abs=1e-6)


def config_of_other_keypoints(folder: Path) -> Path:
    """A config of a user's own data: six keypoints, named in its metainfo, one of them like a tag."""
    names = ['<b>tail</b>', *HANDS.names[1:]]
    info = {index: dict(name=name, id=index, color=[0, 0, 0], type='upper' if index < 3 else 'lower',
                        swap=names[HANDS.flip[index]] if HANDS.flip[index] != index else '')
            for index, name in enumerate(names)}
    metainfo = dict(dataset_name='fish', paper_info={}, keypoint_info=info, joint_weights=[1.] * 6,
                    skeleton_info={0: dict(link=(names[0], names[5]), id=0, color=[0, 0, 0])},
                    sigmas=HANDS.sigmas.tolist())
    path = folder / 'fish.py'
    path.write_text(f"""
_base_ = {str(DEMO)!r}
data_root = {str(folder)!r} + '/'
test_dataloader = dict(dataset=dict(
    data_root=data_root, ann_file='truth.json', data_prefix=dict(img=''), bbox_file=None, metainfo={metainfo!r}))
""")
    return path


def test_predictions_of_any_keypoints_beside_another_diagnosis(tmp_path):
    """Without images, network and boxes: the planted errors of six keypoints, twice."""
    planted = crowd_of_errors(HANDS, images=10)
    _, results = planted.write(tmp_path)
    config = config_of_other_keypoints(tmp_path)
    for out, options in (('one', []), ('two', ['--compare', tmp_path / 'one/diagnosis.json'])):
        done = run('tools/diagnose.py', config, '--predictions', results, '--out', tmp_path / out, *options)
        assert '20 of 22 people found, 2 false positives' in done.stdout
    content = json.loads((tmp_path / 'two/diagnosis.json').read_text())
    assert {kind: content['errors'][kind] for kind in ('jitter', 'inversion', 'swap', 'miss')} == dict.fromkeys(
        ('jitter', 'inversion', 'swap', 'miss'), 4)
    assert content['keypoint_names'][0] == '<b>tail</b>' and content['stages'] is None and content['viewer'] == []
    assert [row['name'] for row in content['compare']] == ['this one', 'one']
    assert content['compare'][0]['errors'] == content['compare'][1]['errors'] == content['errors']
    assert [row['name'] for row in content['groups']['keypoints']][-2:] == ['upper body', 'lower body']
    assert '<b>tail' not in (tmp_path / 'two/index.html').read_text(encoding='utf-8')


@pytest.mark.parametrize('arguments, message', [
    ([str(DEMO)], 'there are no predictions to explain'),
    ([str(DEMO), 'none.pth'], 'checkpoint none.pth does not exist'),
    ([str(DEMO), '--predictions', 'none.json'], 'predictions none.json does not exist'),
    (['none.py'], 'config none.py does not exist'),
    ([str(DEMO), '--predictions', str(DEMO), '--people', '0'], 'people must be >= 1, got 0'),
    ([str(DEMO), '--predictions', str(DEMO), '--compare', 'none.json'], 'compare none.json does not exist')])
def test_a_wrong_argument_ends_with_its_message(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['diagnose.py', *arguments, '--out', str(tmp_path / 'out')])
    with pytest.raises(SystemExit):
        run_tool(load_tool('diagnose').main)
    assert capsys.readouterr().err.splitlines()[-1].startswith(f'error: {message}')
    assert not (tmp_path / 'out').exists()


def test_diagnoses_of_other_data_are_not_compared(tmp_path):
    planted = crowd_of_errors(HANDS, images=2)
    _, results = planted.write(tmp_path)
    config = config_of_other_keypoints(tmp_path)
    diagnose(config, tmp_path / 'one', predictions=results)
    other = json.loads((tmp_path / 'one/diagnosis.json').read_text())
    other['counts']['people'] += 1
    (tmp_path / 'one/diagnosis.json').write_text(json.dumps(other))
    with pytest.raises(ValueError, match='is of another number of people than this diagnosis'):
        diagnose(config, tmp_path / 'two', predictions=results, compare=[tmp_path / 'one/diagnosis.json'])


def test_badcase_under_detector_boxes_is_refused_with_this_tools_name(people, checkpoint, tmp_path):
    done = run('tools/test.py', UNDER_DETECTOR_BOXES, checkpoint, '--badcase', '--data-root', people, '--work-dir',
               tmp_path, check=False)
    assert done.returncode == 2
    assert 'tools/diagnose.py' in done.stderr.splitlines()[-1] and 'detector boxes' in done.stderr.splitlines()[-1]


def test_pictures_without_annotations_have_a_report(people, checkpoint, tmp_path):
    counts = infer(people / 'val2017', DEMO, checkpoint, tmp_path, device='cpu', fast='float32', report=True)
    content = json.loads((tmp_path / 'report/diagnosis.json').read_text())
    assert content['counts'] == dict(images=5, predictions=5) == dict(
        images=counts['images'], predictions=counts['instances'])
    written = json.loads((tmp_path / 'predictions.json').read_text())['images']
    scores = [case['score'] for case in content['cases']]
    assert scores == sorted(image['instances'][0]['score'] for image in written)
    assert len(content['viewer']) == 5 and content['viewer'][0]['truth'] is None
    final = content['viewer'][0]['predictors'][-1]['points']
    assert np.shape(final) == (17, 4) and all(point[3] is None for point in final)
    page = (tmp_path / 'report/index.html').read_text(encoding='utf-8')
    assert 'What the network sees' in page and 'What costs' not in page


def test_a_video_has_no_report(checkpoint, tmp_path):
    import cv2
    path = tmp_path / 'film.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 5, (64, 64))
    writer.write(np.zeros((64, 64, 3), np.uint8))
    writer.release()
    with pytest.raises(ValueError, match='report is for images'):
        infer(path, DEMO, checkpoint, tmp_path / 'out', device='cpu', report=True)
