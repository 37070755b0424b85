"""Ctrl-C and SIGTERM while a tool works: one line, the exit code of the signal, and no half-written file."""
import signal
from typing import Callable

import cv2

from tests.bad_inputs.case import Case, Command, Place, Rows, infer, test, train
from tests.bad_inputs.table.edits import TRAIN, VAL, many_images

KINDS = {signal.SIGINT: ('Ctrl-C', 'interrupted', 130), signal.SIGTERM: ('SIGTERM', 'terminated', 143),
         signal.SIGHUP: ('SIGHUP', 'terminated', 129)}
LONG = ('train_cfg = dict(max_iters=100000, val_interval=100000)\n'
        'train_dataloader = dict(num_workers={workers}, persistent_workers={persistent})')


def rows(given: str, command: Command, at: str, prepare: Callable[[Place], object]) -> Rows:
    return [Case(f'{name} {given}', [command], [said], code, prepare, signal=(number, at))
            for number, (name, said, code) in KINDS.items()]


def long(workers: int = 0) -> Callable[[Place], object]:
    """A training that takes longer than any case."""
    return lambda place: place.write_config(LONG.format(workers=workers, persistent=workers > 0))


def _many_people(place: Place) -> None:
    """A test that takes longer than any case."""
    def change(content: dict) -> None:
        first = content['annotations'][0]
        content['annotations'] = [dict(first, id=number) for number in range(20000)]

    place.edit(VAL, change)


def _long_video(place: Place) -> None:
    """The frames of the shared video many times, longer than any case."""
    reader = cv2.VideoCapture(str(place.files.video))
    frames = [reader.read()[1] for _ in range(8)]
    writer = cv2.VideoWriter(str(place.here / 'long.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 25, frames[0].shape[1::-1])
    for _ in range(250):
        for frame in frames:
            writer.write(frame)
    writer.release()


def _many_listed(place: Place) -> None:
    """An annotation file whose check takes longer than any case."""
    def change(content: dict) -> None:
        first = content['images'][0]
        for number in range(100, 20100):
            name = f'{number}.jpg'
            content['images'].append(dict(first, id=number, file_name=name))
            (place.data / 'train2017' / name).symlink_to(place.files.people / 'train2017' / first['file_name'])

    place.own_data()
    place.edit(TRAIN, change)


SIGNAL_CASES: Rows = [
    *rows('in a training', train(), 'Iter(train) [     3', long()),
    *rows('in a training with a data worker', train(), 'Iter(train) [     3', long(1)),
    *rows('in a test', test(), 'Load checkpoint from', _many_people),
    *rows('while images are predicted', infer(source='{here}/images'), '/3000', many_images),
    *rows('while people are drawn', ('make_synthetic', '{out}/people', '--train', '3000', '--val', '1'), '/3000',
          lambda place: None),
    *rows('while a video is predicted', infer(source='{here}/long.avi'), '/2000', _long_video),
    *rows('while a test is diagnosed', ('diagnose', '{config}', '{checkpoint}', '--data-root', '{data}', '--out',
                                        '{out}'), 'one pass over the data', _many_people),
    *rows('while images are decoded', ('check_data', '{config}', '--data-root', '{data}', '--decode'), '/20004',
          _many_listed),
]
