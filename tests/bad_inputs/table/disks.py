"""Full disks, by a limit on the size of files, and folders that cannot be written to."""
import cv2
import numpy as np

from tests.bad_inputs.case import Case, Command, Place, Rows, infer, test, train
from tests.bad_inputs.table.edits import TRAIN, write_predictions

SMALL = 8_000
"""Bytes that hold less than a result of images or weights."""
HALF = 60_000
"""Bytes that hold a log, but not a checkpoint of the small model."""


def full(given: str, command: Command, *says: str, limit: int = SMALL, **changes: object) -> Case:
    return Case(f'a full disk while {given} written', [command], says, file_limit=limit, **changes)


def _a_file_in_the_way(name: str):
    return lambda place: (place.out / name).write_text('in the way')


def _a_folder_in_the_way(name: str):
    return lambda place: (place.out / name).mkdir()


def _large_video(place: Place) -> None:
    """Four frames of noise, whose drawings take more than the lines of their predictions."""
    draw = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(place.here / 'large.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 25, (640, 480))
    for _ in range(4):
        writer.write(draw.integers(0, 255, (480, 640, 3), np.uint8))
    writer.release()


DISK_CASES: Rows = [
    full('a checkpoint is', train(), 'iter_1.pth', limit=HALF),
    full('the config and the log are', train(), 'free space'),
    full('predictions are', test('--dump', '{here}/p.pkl'), 'free space'),
    full('a drawing is', infer(), '000000000001.jpg'),
    full('a video is', infer(source='{here}/large.mp4'), 'large.mp4', 'could not be written', 'free space', limit=HALF,
         prepare=_large_video),
    full('the lines of predictions are', infer(source='{shared}/video.mp4'), 'predictions.jsonl', 'free space'),
    full('the copy of a config that is read is', infer(), 'free space', limit=200),
    full('an exported model is', ('export', '{config}', '{checkpoint}', '--data-root', '{data}', '--out',
                                  '{out}/a.onnx'), 'a.onnx', limit=HALF),
    full('a diagnosis is', ('diagnose', '{config}', '{checkpoint}', '--data-root', '{data}', '--out', '{out}'),
         'free space'),
    full('annotations are converted and', ('convert_annotations', '{here}/predictions.json', '{out}/a.json'), 'a.json',
         limit=100, prepare=write_predictions),
    Case('parts that are merged on a full disk',
         [infer('--shard', '1/2'), infer('--shard', '2/2'), ('merge_predictions', '{out}')],
         ['predictions.json', 'free space'], file_limit=500),
    full('a converted checkpoint is', ('convert_checkpoint', '{checkpoint}', '{out}/a.pth'), 'a.pth'),
    full('a published checkpoint is', ('publish_model', '{checkpoint}', '{out}/a'), 'a-'),
    full('drawn people are', ('make_synthetic', '{out}/people', '--train', '1', '--val', '1'), 'people'),
    full('a new data set is', ('new_dataset', '{data}/' + TRAIN, '{data}/train2017', '--out', '{out}'), '.json'),
    Case('a folder in the place of a checkpoint', [train()], ['iter_1.pth'],
         prepare=_a_folder_in_the_way('iter_1.pth')),
    Case('a folder in the place of a drawing', [infer()], ['000000000001.jpg'],
         prepare=_a_folder_in_the_way('000000000001.jpg')),
    Case('a folder in the place of a video', [infer(source='{shared}/video.mp4')], ['video.mp4'],
         prepare=_a_folder_in_the_way('video.mp4')),
    Case('a folder in the place of the lines of predictions', [infer()], ['predictions.jsonl'],
         prepare=_a_folder_in_the_way('predictions.jsonl')),
    Case('a folder in the place of the lock', [train()], ['.training.lock'],
         prepare=_a_folder_in_the_way('.training.lock')),
    Case('a folder in the place of last_checkpoint', [train()], ['last_checkpoint'],
         prepare=_a_folder_in_the_way('last_checkpoint')),
    Case('a folder in the place of the config', [train()], ['small.py'], prepare=_a_folder_in_the_way('small.py')),
    Case('a folder in the place of predictions.json', [infer()], ['predictions.json'],
         prepare=_a_folder_in_the_way('predictions.json')),
    Case('a file in the place of the work directory',
         [('train', '{config}', '--data-root', '{data}', '--work-dir', '{out}/taken')], ['--work-dir', 'taken'],
         prepare=_a_file_in_the_way('taken')),
    Case('a file in the place of the output folder',
         [('infer', '{data}/val2017', '{config}', '{checkpoint}', '--out', '{out}/taken')], ['out_dir', 'taken'],
         prepare=_a_file_in_the_way('taken')),
    Case('a file in the place of the folder of drawn people',
         [('make_synthetic', '{out}/taken', '--train', '1', '--val', '1')], ['taken'],
         prepare=_a_file_in_the_way('taken')),
]
