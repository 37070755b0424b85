"""Inference on images, folders and videos with a small random model, compared with mmpose's own inference."""
import runpy
import sys

import cv2
import numpy as np
import pytest
import torch

from mmpose_mspn.checkpoints import read_checkpoint
from tests.launching import python
from tests.model_files import save_random, write_config
from tests.places import ROOT
from tests.test_apis.infer_setup import NAMES, SIZE, joints_of

TOOL = ROOT / 'tools' / 'infer.py'


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
        assert [instance['keypoints']] == setup.expected(setup.read(NAMES[0]))
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
        assert [joints_of(image) for image in images] == [setup.expected(setup.read(name)) for name in NAMES[:2]]
        assert sorted(path.name for path in setup.out.glob('[!.]*')) == [*NAMES[:2], 'predictions.json']
        logged = log.text
        assert 'broken.jpg' in logged and 'empty.PNG' in logged and '1 files' in logged

    def test_video(self, setup, tmp_path):
        source = tmp_path / 'walk.avi'
        writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 12, SIZE)
        for name in NAMES:
            writer.write(setup.read(name))
        writer.release()
        capture = cv2.VideoCapture(str(source))
        frames = [capture.read()[1] for _ in NAMES]
        counts = setup.infer(source, kpt_thr=0)
        assert (counts['images'], counts['instances'], counts['skipped']) == (3, 3, 0)
        images = setup.predictions()['images']
        assert [(image['image'], image['frame']) for image in images] == [('walk.avi', n) for n in range(3)]
        assert all((image['width'], image['height']) == SIZE for image in images)
        assert [joints_of(image) for image in images] == [setup.expected(frame) for frame in frames]
        assert sorted(path.name for path in setup.out.glob('[!.]*')) == ['predictions.json', 'walk.mp4']
        drawn = cv2.VideoCapture(str(setup.out / 'walk.mp4'))
        assert drawn.get(cv2.CAP_PROP_FPS) == pytest.approx(12)
        for frame in frames:
            decoded, picture = drawn.read()
            assert decoded and picture.shape == frame.shape
            assert np.abs(picture.astype(int) - frame).max() > 60  # skeletons differ more than compression
        assert not drawn.read()[0]


    def test_mp4_is_read(self, setup, tmp_path):
        source = tmp_path / 'walk.mp4'
        writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'mp4v'), 5, SIZE)
        writer.write(setup.read(NAMES[0]))
        writer.release()
        assert setup.infer(source)['images'] == 1


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
    assert joints_of(setup.predictions()['images'][0]) == setup.expected(setup.read(NAMES[0]))


def test_command_line_names_the_error(setup, monkeypatch, capsys):
    arguments = ['nowhere', setup.config, setup.checkpoint, '--out', setup.out]
    monkeypatch.setattr(sys, 'argv', ['infer.py', *map(str, arguments)])
    with pytest.raises(SystemExit) as raised:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert raised.value.code == 1
    assert 'error: source nowhere does not exist' in capsys.readouterr().err
