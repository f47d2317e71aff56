import os
import pickle
import signal
import time
from pathlib import Path

import cv2
import pytest

from emoembed.errors import InputError, OutputError
from emoembed.features import workers

FOLDER = Path()


def set_folder(state):
    global FOLDER
    FOLDER = Path(pickle.loads(state))


def slow_square(number):
    time.sleep(0.02 * (number % 3))
    return number**2


def threads(_):
    return os.environ["OMP_NUM_THREADS"], cv2.getNumThreads()


def killed_once(number):
    """Kills its own process at the first try of the numbers 3 and 11."""
    tried = FOLDER / str(number)
    if number in (3, 11) and not tried.exists():
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def killed_always(number):
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def never(_):
    os.kill(os.getpid(), signal.SIGKILL)


def wrong(number):
    raise InputError(f"{number} is wrong")


def test_answers_come_in_the_order_of_the_items():
    assert list(workers.in_order(slow_square, range(30), 2, stopped=str)) == [n**2 for n in range(30)]
    assert list(workers.in_order(slow_square, [], 2, stopped=str)) == []


def test_each_worker_has_one_thread():
    assert set(workers.in_order(threads, range(4), 2, stopped=str)) == {("1", 1)}


def test_items_are_read_as_they_are_needed():
    read = []
    answers = workers.in_order(slow_square, (read.append(n) or n for n in range(1000)), 2, stopped=str)
    assert next(answers) == 0
    assert len(read) <= workers.AHEAD * 2
    answers.close()


def test_the_items_of_a_killed_worker_are_done_again(tmp_path):
    state = pickle.dumps(str(tmp_path))
    answers = list(workers.in_order(killed_once, range(20), 2, stopped=str, setup=set_folder, state=state))
    assert answers == [n**2 for n in range(20)]
    assert {path.name for path in tmp_path.iterdir()} == {"3", "11"}


def test_an_item_that_kills_its_worker_again_is_left_out():
    answers = list(workers.in_order(killed_always, range(12), 2, stopped=lambda item: f"{item} stopped"))
    assert answers == [*range(5), "5 stopped", *range(6, 12)]


def test_workers_that_never_answer_are_an_error():
    with pytest.raises(OutputError, match="before they answered anything"):
        list(workers.in_order(never, range(8), 2, stopped=str))


def test_an_error_of_the_task_is_raised():
    with pytest.raises(InputError, match="0 is wrong"):
        list(workers.in_order(wrong, range(8), 2, stopped=str))


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "2"])
def test_the_number_of_workers_is_a_whole_number(value):
    with pytest.raises(InputError, match="workers must be a whole number of at least 1"):
        workers.require_workers(value)
