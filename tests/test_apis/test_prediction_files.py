"""tools/infer.py at scale: lines as they come, runs that are killed and resumed, shards, and what is not mixed."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmpose_mspn.apis.inference import infer
from mmpose_mspn.apis.prediction_files import PartFile, Shard, merge_parts
from mmpose_mspn.synthetic_people import generate
from tests.launching import python
from tests.model_files import save_random, write_config
from tests.places import ROOT
from tests.tools import load_tool

TOOL = ROOT / 'tools' / 'infer.py'
IMAGES = 9
COUNTS = dict(images=IMAGES, instances=IMAGES, skipped=1, skipped_boxes=0, other_files=0)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A folder of nine images and one broken one, a model, and the predictions of an uninterrupted run."""
    root = tmp_path_factory.mktemp('at_scale')
    generate(root / 'people', train=0, val=IMAGES, workers=1, image_size=(96, 80), progress=False)
    images = root / 'people' / 'val2017'
    (images / '000000000004a.jpg').write_bytes(b'no picture')
    config = write_config(root / 'config.py')
    save_random(config, root / 'model.pth')

    def start(out: Path, **changes) -> dict:
        return infer(**{'source': images, 'config': config, 'checkpoint': root / 'model.pth', 'out_dir': out,
                        'device': 'cpu', **changes})

    start.images, start.config, start.checkpoint, start.root = images, config, root / 'model.pth', root
    assert start(root / 'whole') == COUNTS
    start.expected = (root / 'whole' / 'predictions.json').read_bytes()
    return start


def cut_after(part: Path, lines: int, rest: bytes = b'') -> None:
    """Leave the header and some images of a part file, as a killed run does."""
    part.write_bytes(b''.join(part.read_bytes().splitlines(keepends=True)[:1 + lines]) + rest)


def test_a_killed_process_is_resumed(run, tmp_path):
    """kill -9 of the tool; what it had written stays, and the resumed run ends with the bytes of one that was not."""
    out = tmp_path / 'out'
    command = [sys.executable, '-W', 'ignore', TOOL, run.images, run.config, run.checkpoint, '--out', out, '--device',
               'cpu']
    part = out / 'predictions.jsonl'
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (part.exists() and part.read_bytes().count(b'\n') >= 3):
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    left = part.read_bytes().splitlines()
    assert len(left) >= 3 and process.returncode == -signal.SIGKILL
    assert all((out / json.loads(line)['image']['image']).exists() for line in left[1:-1])
    before = {path.name: path.stat().st_mtime_ns for path in out.glob('*.jpg')}
    if not (out / 'predictions.json').exists():
        assert run(out, resume=True) == COUNTS
        kept = [json.loads(line)['image']['image'] for line in left[1:-1]]
        assert all((out / name).stat().st_mtime_ns == before[name] for name in kept)  # they are not predicted again
    assert (out / 'predictions.json').read_bytes() == run.expected
    assert len(list(out.glob('[!.]*'))) == IMAGES + 1


def test_shards_add_up_to_the_whole(run, tmp_path):
    counts = [run(tmp_path / f'machine{index % 2}', shard=f'{index}/4') for index in range(1, 5)]
    assert [one['images'] for one in counts] == [2, 2, 2, 3] and sum(one['skipped'] for one in counts) == 1
    folders = [tmp_path / 'machine0', tmp_path / 'machine1']
    assert not any((folder / 'predictions.json').exists() for folder in folders)
    found = merge_parts(folders, tmp_path)
    assert found == dict(parts=4, images=IMAGES, instances=IMAGES, skipped_boxes=0)
    assert (tmp_path / 'predictions.json').read_bytes() == run.expected


def test_a_killed_shard_is_resumed_and_a_complete_one_is_not_run_again(run, tmp_path):
    for index in (1, 2):
        run(tmp_path, shard=f'{index}/2')
    part = tmp_path / 'predictions-2-of-2.jsonl'
    whole = part.read_bytes()
    cut_after(part, 2, b'{"image": {"ima')
    with pytest.raises(ValueError, match=r'predictions-2-of-2.jsonl is not complete: .*--resume'):
        merge_parts([tmp_path], tmp_path)
    with pytest.raises(ValueError, match=r'holds 2 images of a run that was not finished: continue with --resume'):
        run(tmp_path, shard='2/2')
    run(tmp_path, shard='2/2', resume=True)
    assert part.read_bytes() == whole
    (tmp_path / '000000000009.jpg').unlink()
    counts = run(tmp_path, shard='2/2', resume=True)
    assert counts['images'] == 5 and not (tmp_path / '000000000009.jpg').exists() and part.read_bytes() == whole


def test_more_shards_than_images(run, tmp_path):
    one = tmp_path / 'one'
    one.mkdir()
    shutil.copy(run.images / '000000000001.jpg', one)
    for index in (1, 2, 3):
        run(tmp_path / 'out', source=one, shard=f'{index}/3')
    assert merge_parts([tmp_path / 'out'], tmp_path / 'out')['images'] == 1


def test_the_tool_that_merges(run, tmp_path, monkeypatch, capsys):
    run(tmp_path, shard='1/2')
    tool = load_tool('merge_predictions')
    monkeypatch.setattr(sys, 'argv', ['merge_predictions.py', str(tmp_path)])
    with pytest.raises(FileNotFoundError, match='1 of 2 parts are missing: predictions-2-of-2.jsonl'):
        tool.main()
    run(tmp_path, shard='2/2')
    tool.main()
    assert capsys.readouterr().out.startswith(f'2 parts: {IMAGES} people in {IMAGES} images, 0 boxes skipped')
    assert (tmp_path / 'predictions.json').read_bytes() == run.expected


def test_parts_that_do_not_belong_together(run, tmp_path):
    with pytest.raises(FileNotFoundError, match='no parts'):
        merge_parts([tmp_path], tmp_path)
    run(tmp_path, shard='1/2')
    with pytest.raises(ValueError, match=r'predictions-1-of-2.jsonl is of another run \(different: bbox_thr\)'):
        run(tmp_path, shard='2/2', bbox_thr=0.9)
    run(tmp_path / 'other', shard='2/2', bbox_thr=0.9)
    with pytest.raises(ValueError, match=r'is of another run \(different: bbox_thr\)'):
        merge_parts([tmp_path, tmp_path / 'other'], tmp_path)
    run(tmp_path, shard='2/2')
    shutil.copytree(tmp_path, tmp_path / 'copy')
    with pytest.raises(ValueError, match='are the same part'):
        merge_parts([tmp_path, tmp_path / 'copy'], tmp_path)
    run(tmp_path, shard='1/3')
    with pytest.raises(FileNotFoundError, match='parts of runs of 2 and 3 shards'):
        merge_parts([tmp_path], tmp_path)
    assert not (tmp_path / 'predictions.json').exists()


@pytest.mark.parametrize('changes, named', [
    (dict(bbox_thr=0.5), 'bbox_thr'), (dict(kpt_thr=0.5), 'kpt_thr'), (dict(fast='float32'), 'fast'),
    (dict(checkpoint='other'), 'checkpoint'), (dict(source='other'), 'source'), (dict(source='redrawn'), 'source'),
    (dict(config='other'), 'config'), (dict(config='thick'), 'visualizer')])
def test_another_run_is_not_resumed(run, tmp_path, changes, named):
    run(tmp_path / 'out', shard='1/2')
    cut_after(tmp_path / 'out' / 'predictions-1-of-2.jsonl', 1)
    if named == 'checkpoint':
        save_random(run.config, tmp_path / 'model.pth', note='other')
        changes = dict(checkpoint=tmp_path / 'model.pth')
    elif named == 'source':
        shutil.copytree(run.images, tmp_path / 'images')
        last = tmp_path / 'images' / '000000000009.jpg'
        if changes['source'] == 'other':
            last.unlink()
        else:  # another picture of the same name
            shutil.copy(run.images / '000000000001.jpg', last)
        changes = dict(source=tmp_path / 'images')
    elif named == 'visualizer':
        (tmp_path / 'config.py').write_text(run.config.read_text() + "\nvisualizer.update(radius=9)\n")
        changes = dict(config=tmp_path / 'config.py')
    elif named == 'config':
        (tmp_path / 'config.py').write_text(run.config.read_text().replace('flip_test=True', 'flip_test=False'))
        changes = dict(config=tmp_path / 'config.py')
    with pytest.raises(ValueError, match=rf'is of another run \(different: {named}\): choose another --out'):
        run(tmp_path / 'out', shard='1/2', resume=True, **changes)


def test_a_full_disk_names_the_lines(tmp_path):
    """A process with a limit of the file size stands for a disk that is full. The whole lines stay."""
    done = python('-c', '''
import resource, signal, sys
from pathlib import Path
from mmpose_mspn.apis.command_line import run_tool
from mmpose_mspn.apis.prediction_files import PartFile, Shard
def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3500, 3500))
    part = PartFile(Path(sys.argv[1]), Shard(), {}, dict(keypoint_names=[], skeleton=[]), False)
    try:
        for number in range(9):
            part.write(dict(image=f"{number}.jpg", instances=["." * 900]), 0)
    finally:
        part.close()
run_tool(main)''', tmp_path)
    assert done.returncode == 1 and done.stderr.strip().splitlines()[-1] == (
        f'error: {tmp_path}/predictions.jsonl: File too large: free space there, and continue with --resume')
    part = PartFile(tmp_path, Shard(), {}, dict(keypoint_names=[], skeleton=[]), resume=True)
    assert part.done == 3
    part.close()


def test_a_link_to_nothing_is_skipped(run, tmp_path):
    images = tmp_path / 'images'
    images.mkdir()
    shutil.copy(run.images / '000000000001.jpg', images)
    (images / 'gone.jpg').symlink_to('/nowhere.jpg')
    assert run(tmp_path / 'out', source=images)['skipped'] == 1


def test_the_results_of_an_earlier_run_are_told(run, tmp_path):
    """Drawings of images that the second run does not have stay beside its own."""
    one = tmp_path / 'one'
    one.mkdir()
    shutil.copy(run.images / '000000000001.jpg', one)
    logged = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmpose_mspn.apis.prediction_files.print_log', lambda text, *_: logged.append(text))
        run(tmp_path / 'out')
        assert not logged
        run(tmp_path / 'out', source=one, kpt_thr=0.9)
    assert len(logged) == 1 and 'holds the results of an earlier run' in logged[0]
    assert (tmp_path / 'out' / '000000000002.jpg').exists()


def test_a_video_is_drawn_from_its_beginning_when_it_is_resumed(run, tmp_path):
    source = tmp_path / 'walk.avi'
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 12, (96, 80))
    for number in range(1, 6):
        writer.write(cv2.imread(str(run.images / f'00000000000{number}.jpg')))
    writer.release()
    run(tmp_path / 'whole', source=source, kpt_thr=0)
    out = tmp_path / 'out'

    class Stopped(Exception):
        pass

    with pytest.MonkeyPatch.context() as patch:  # a stop after the third frame
        write = PartFile.write

        def write_three(part, *line):
            write(part, *line)
            if part.written == 3:
                raise Stopped

        patch.setattr(PartFile, 'write', write_three)
        with pytest.raises(Stopped):
            run(out, source=source, kpt_thr=0)
    assert [path.name for path in out.glob('[!.]*')] == ['predictions.jsonl']
    assert run(out, source=source, kpt_thr=0, resume=True)['images'] == 5
    assert (out / 'predictions.json').read_bytes() == (tmp_path / 'whole' / 'predictions.json').read_bytes()
    first, second = (cv2.VideoCapture(str(folder / 'walk.mp4')) for folder in (out, tmp_path / 'whole'))
    for _ in range(5):
        assert (first.read()[1] == second.read()[1]).all()


def test_two_processes_do_not_write_one_part(run, tmp_path):
    part = PartFile(tmp_path, Shard(), {}, dict(keypoint_names=[], skeleton=[]), resume=False)
    with pytest.raises(ValueError, match='another process writes .*predictions.jsonl'):
        run(tmp_path)
    part.close()
    assert run(tmp_path) == COUNTS


def test_batches_across_images_differ_by_rounding(run, tmp_path):
    run(tmp_path, batch_size=4)
    found, expected = json.loads((tmp_path / 'predictions.json').read_text()), json.loads(run.expected)
    assert [one['image'] for one in found['images']] == [one['image'] for one in expected['images']]
    gaps = [np.abs(np.array(a['instances'][0]['keypoints']) - b['instances'][0]['keypoints'])
            for a, b in zip(found['images'], expected['images'])]
    assert np.median(gaps) < 1e-3


def test_a_box_outside_of_its_image_is_skipped(run, tmp_path):
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(json.dumps([dict(file_name='000000000001.jpg', bbox=[96, 0, 20, 20]),
                                 dict(file_name='000000000001.jpg', bbox=[90, 70, 20, 20])]))
    counts = run(tmp_path / 'out', source=run.images / '000000000001.jpg', boxes=boxes)
    assert (counts['instances'], counts['skipped_boxes']) == (1, 1)


@pytest.mark.parametrize('changes, message', [
    (dict(shard='0/4'), 'shard must be i/n with 1 <= i <= n, such as 2/8, got .0/4.'),
    (dict(shard='5/4'), 'shard must be i/n'), (dict(shard='half'), 'shard must be i/n'),
    (dict(batch_size=0), 'batch_size must be an integer >= 1, got 0'),
    (dict(model='model.pth'), 'model .* takes the place of config and checkpoint: give it alone'),
    (dict(config=None), 'config and checkpoint belong together'),
    (dict(shard='1/2', report=True), 'report shows the people of all images'),
])
def test_refusals(run, tmp_path, changes, message):
    if changes.get('report'):
        pytest.importorskip('plotly')
    with pytest.raises(ValueError, match=message):
        run(tmp_path / 'out', **changes)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('order', ['SOURCE CONFIG CHECKPOINT --out OUT', 'SOURCE --out OUT CONFIG CHECKPOINT',
                                   '--out OUT SOURCE --device cpu CONFIG CHECKPOINT', 'SOURCE --model MODEL --out OUT',
                                   '--model=MODEL --out OUT SOURCE'])
def test_the_command_line_takes_files_and_options_in_any_order(monkeypatch, order):
    monkeypatch.setattr(sys, 'argv', ['infer.py', *order.split()])
    args = load_tool('infer').parse_args()
    files = (None, None, 'MODEL') if 'MODEL' in order else ('CONFIG', 'CHECKPOINT', None)
    assert (args.source, args.out_dir, args.config, args.checkpoint, args.model) == ('SOURCE', 'OUT', *files)
