"""Images that processes share: their pixels, the limit, and what remains of processes that end or are killed."""
import multiprocessing
import os
import pickle
import resource
import signal
import time
from typing import Callable, List

import numpy as np
import pytest

from mmpose_mspn.datasets import shared_images
from mmpose_mspn.datasets.shared_images import SharedImages

FORK = multiprocessing.get_context('fork')
PAGE = os.sysconf('SC_PAGE_SIZE')
SHAPE = (40, 50, 3)
LIMIT = 10**6
PAGES = -(-int(np.prod(SHAPE)) // PAGE) * PAGE

pytestmark = [pytest.mark.usefixtures('meeting_folder'),
              pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='processes share images on Linux only')]


@pytest.fixture(params=['memory', 'memory of an old Python', 'disk'])
def folder(request, tmp_path, monkeypatch):
    if 'old' in request.param:
        monkeypatch.delattr(os, 'memfd_create')
    return str(tmp_path) if request.param == 'disk' else None


def key(number: int) -> bytes:
    """Keys differ in their first bytes, by which the table orders them."""
    return number.to_bytes(8, 'little') + b'a key of'


def image(number: int, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


def in_process(work: Callable[[], None], ends: int = 0) -> None:
    """Run it in a forked process."""
    process = FORK.Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == ends


def stored(images: SharedImages, count: int) -> List[int]:
    return [number for number in range(count) if images.get(key(number)) is not None]


def test_images_come_back_as_they_were(folder):
    images = SharedImages(LIMIT, folder)
    assert images.get(key(1)) is None
    shapes = [(1, 1, 3), (PAGE, 1, 3), (7, 300, 3), (41, 50, 3)]
    for number, shape in enumerate(shapes):
        images.put(key(number), image(number, shape))
    images.put(key(9), image(9)[:, ::-1])  # not contiguous
    for number, shape in enumerate(shapes):
        np.testing.assert_array_equal(images.get(key(number)), image(number, shape))
    np.testing.assert_array_equal(images.get(key(9)), image(9)[:, ::-1])


def test_what_is_written_to_an_image_stays_in_it(folder):
    images = SharedImages(LIMIT, folder)
    images.put(key(1), image(1))
    found = images.get(key(1))
    found[:] = 0
    np.testing.assert_array_equal(images.get(key(1)), image(1))
    assert not found.any()


@pytest.mark.parametrize('other', [image(1)[..., 0], image(1)[..., :2], image(1).astype(np.float32)])
def test_other_kinds_of_images_are_not_kept(other):
    images = SharedImages(LIMIT)
    images.put(key(1), other)
    assert images.get(key(1)) is None


@pytest.mark.parametrize('limit', [LIMIT, 3 * 10**5])
def test_the_limit_is_kept_and_said_once(limit, folder, said):
    images = SharedImages(limit, folder)
    for _ in range(2):
        for number in range(150):
            images.put(key(number), image(number))
    assert os.fstat(images._shared.descriptor).st_blocks * 512 <= limit
    assert os.fstat(images._shared.descriptor).st_size <= limit
    kept = stored(images, 150)
    fitting = (limit - images._images_from) // PAGES
    assert 0 < fitting < 150 and kept == list(range(fitting))
    np.testing.assert_array_equal(images.get(key(fitting - 1)), image(fitting - 1))
    message, = said
    assert f'takes no more: its limit is {limit / 1e9:g} GB' in message
    images.put(key(100), image(100, (1, 1, 3)))  # a smaller one may still fit
    assert len(said) == 1


def test_a_table_without_free_entries_only_keeps_less():
    images = SharedImages(LIMIT)
    for number in range(40):
        images.put(number.to_bytes(16, 'big'), image(number))  # all begin with the same bytes
    kept = [number for number in range(1, 40) if images.get(number.to_bytes(16, 'big')) is not None]
    assert kept == list(range(1, 17))


def test_processes_see_each_others_images(folder):
    images = SharedImages(LIMIT, folder)
    images.put(key(1), image(1))

    def forked():
        np.testing.assert_array_equal(images.get(key(1)), image(1))
        images.put(key(2), image(2))

    def on_its_own():
        """As another process of a distributed training, which makes its own."""
        own = SharedImages(LIMIT, folder)
        np.testing.assert_array_equal(own.get(key(2)), image(2))
        own.put(key(3), image(3))

    in_process(forked)
    in_process(on_its_own)
    np.testing.assert_array_equal(images.get(key(3)), image(3))
    pickled = pickle.loads(pickle.dumps(images))  # as workers receive it that are not forked
    np.testing.assert_array_equal(pickled.get(key(3)), image(3))
    assert SharedImages(LIMIT + 1, folder).get(key(1)) is None


def test_many_processes_add_images_at_once(folder):
    """Every image is added once, whoever comes first, and none is mixed with another."""
    images, count = SharedImages(LIMIT, folder), 50

    def add(seed: int) -> None:
        for number in np.random.default_rng(seed).permutation(count):
            images.put(key(int(number)), image(int(number)))
            found = images.get(key(int(number)))
            assert found is None or (found == image(int(number))).all()

    processes = [FORK.Process(target=add, args=(seed, )) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    kept = stored(images, count)
    for number in kept:
        np.testing.assert_array_equal(images.get(key(number)), image(number))
    assert len(kept) == count
    header = shared_images._Header.read(images._shared.descriptor)
    assert header.taken - images._images_from == count * PAGES


def use_for_a_while(meeting_folder) -> None:
    images, others = SharedImages(LIMIT), SharedImages(LIMIT)
    assert len(os.listdir(meeting_folder)) == 1
    in_process(lambda: images.put(key(1), image(1)))  # the end of a worker removes nothing
    del others
    assert images.get(key(1)) is not None and len(os.listdir(meeting_folder)) == 1


def test_nothing_remains_of_a_normal_end(meeting_folder):
    use_for_a_while(meeting_folder)
    assert os.listdir(meeting_folder) == []


def test_what_a_killed_process_leaves_is_not_used(meeting_folder):
    def make_and_die():
        images = SharedImages(LIMIT)
        images.put(key(1), image(1))
        assert images.get(key(1)) is not None
        os.kill(os.getpid(), signal.SIGKILL)

    in_process(make_and_die, -signal.SIGKILL)
    left, = meeting_folder.iterdir()
    assert left.stat().st_size < 100
    images = SharedImages(LIMIT)
    assert images.get(key(1)) is None
    images.put(key(1), image(2))
    np.testing.assert_array_equal(images.get(key(1)), image(2))
    del images
    assert os.listdir(meeting_folder) == []


def test_a_meeting_file_of_other_content_is_written_again(meeting_folder, tmp_path):
    """The last one names an open file of a running process, as after a process number has been used again."""
    images = SharedImages(LIMIT)
    path, = meeting_folder.iterdir()
    with open(tmp_path / 'other', 'w+') as other:
        used_again = f'[{os.getpid()}, {other.fileno()}, 4, 5]'
        for content in ('', '[1', '[1, 2]', '{}', 'null', '[999999999, 3, 4, 5]', used_again):
            path.write_text(content)
            found = SharedImages(LIMIT)
            found.put(key(1), image(1))
            assert images.get(key(1)) is None and SharedImages(LIMIT).get(key(1)) is not None
        assert other.seek(0, os.SEEK_END) == 0


def test_images_outlive_the_process_that_made_the_file():
    made, use = FORK.Event(), FORK.Event()

    def make():
        images = SharedImages(LIMIT)
        images.put(key(1), image(1))
        made.set()
        use.wait(30)
        os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=make)
    process.start()
    assert made.wait(30)
    images = SharedImages(LIMIT)
    use.set()
    process.join()
    np.testing.assert_array_equal(images.get(key(1)), image(1))
    in_process(lambda: np.testing.assert_array_equal(images.get(key(1)), image(1)))


def test_a_process_that_dies_while_it_adds_does_not_stop_others():
    """Suspended with the lock, then killed: meanwhile images are not added, and afterwards they are."""
    images, held = SharedImages(LIMIT), FORK.Event()

    def hold():
        with images._shared.locked():
            held.set()
            time.sleep(60)

    process = FORK.Process(target=hold)
    process.start()
    assert held.wait(30)
    images.put(key(1), image(1))
    assert images.get(key(1)) is None
    process.kill()
    process.join()
    images.put(key(1), image(1))
    assert images.get(key(1)) is not None


def test_an_incomplete_image_is_not_used():
    images = SharedImages(LIMIT)
    assert images._reserve(images._shared.descriptor, key(1), 6000) is not None
    images.put(key(1), image(1))
    assert images.get(key(1)) is None


def test_a_full_disk_ends_nothing_and_is_said_once(folder, said):
    """The system's limit on the size of files stands for the disk's end."""
    images = SharedImages(LIMIT, folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (images._images_from + 2 * PAGES + 10, hard))
    try:
        for number in range(10):
            images.put(key(number), image(number))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert stored(images, 10) == [0, 1]
    np.testing.assert_array_equal(images.get(key(1)), image(1))
    message, = said
    assert 'takes no more: File too large' in message


def test_memory_is_left_for_others(monkeypatch, said, folder):
    monkeypatch.setattr(shared_images, 'RESERVE', 2**60)
    images = SharedImages(LIMIT, folder)
    for number in range(3):
        images.put(key(number), image(number))
    assert stored(images, 3) == []
    message, = said
    assert 'of memory or of the disk would be left' in message


def test_a_folder_that_is_not_there():
    with pytest.raises(OSError, match='nowhere'):
        SharedImages(LIMIT, '/nowhere')
