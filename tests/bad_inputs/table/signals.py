"""Ctrl-C and SIGTERM while a tool works: one line, the exit code of the signal, and no half-written file."""
import signal
from typing import Callable

from tests.bad_inputs.case import Case, Command, Place, Rows, infer, test, train
from tests.bad_inputs.table.edits import VAL

KINDS = {signal.SIGINT: ('Ctrl-C', 'interrupted', 130), signal.SIGTERM: ('SIGTERM', 'terminated', 143)}
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


def _many_images(place: Place) -> None:
    image = next((place.files.people / 'val2017').glob('*.jpg'))
    (place.here / 'images').mkdir()
    for number in range(3000):
        (place.here / f'images/{number:05}.jpg').symlink_to(image)


SIGNAL_CASES: Rows = [
    *rows('in a training', train(), 'Iter(train) [     3', long()),
    *rows('in a training with a data worker', train(), 'Iter(train) [     3', long(1)),
    *rows('in a test', test(), 'Load checkpoint from', _many_people),
    *rows('while images are predicted', infer(source='{here}/images'), '/3000', _many_images),
    *rows('while people are drawn', ('make_synthetic', '{out}/people', '--train', '3000', '--val', '1'), '/3000',
          lambda place: None),
]
