"""Full disks, by a limit on the size of files, and folders that cannot be written to."""

from tests.bad_inputs.case import Case, Command, Rows, infer, test, train
from tests.bad_inputs.table.edits import TRAIN

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


DISK_CASES: Rows = [
    full('a checkpoint is', train(), 'iter_1.pth', limit=HALF),
    full('the config and the log are', train(), 'free space'),
    full('predictions are', test('--dump', '{here}/p.pkl'), 'free space'),
    full('a drawing is', infer(), '000000000001.jpg'),
    full('a video is', infer(source='{shared}/video.mp4'), 'written', 'free space'),
    full('a converted checkpoint is', ('convert_checkpoint', '{checkpoint}', '{out}/a.pth'), 'a.pth'),
    full('a published checkpoint is', ('publish_model', '{checkpoint}', '{out}/a'), 'a-'),
    full('drawn people are', ('make_synthetic', '{out}/people', '--train', '1', '--val', '1'), 'people'),
    full('a new data set is', ('new_dataset', '{data}/' + TRAIN, '{data}/train2017', '--out', '{out}'), '.json'),
    Case('a folder in the place of a checkpoint', [train()], ['iter_1.pth'],
         prepare=_a_folder_in_the_way('iter_1.pth')),
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
