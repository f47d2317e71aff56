import os
import pickle
import signal
import subprocess
import sys
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


def dies(_):
    os.kill(os.getpid(), signal.SIGKILL)


def fails(_):
    raise ValueError("no model")


def process_id(_):
    return os.getpid()


def is_gone(process, seconds=20):
    """Whether a process has ended; it is given some time."""
    for _ in range(10 * seconds):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{process}/stat").read_text().split(")")[-1].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


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


def test_a_first_item_that_kills_its_worker_is_left_out_too():
    assert list(workers.in_order(never, range(3), 2, stopped=lambda item: f"{item} stopped")) == [
        "0 stopped",
        "1 stopped",
        "2 stopped",
    ]


@pytest.mark.parametrize(
    ("setup", "message"),
    [(dies, "stop as soon as they start"), (fails, "could not be prepared: ValueError: no model; try workers=1")],
)
def test_workers_that_cannot_be_prepared_are_an_error(setup, message):
    large = bytes(10_000_000)  # a long state must not block the process that starts them
    with pytest.raises(OutputError, match=message):
        list(workers.in_order(slow_square, range(8), 2, stopped=str, setup=setup, state=large))


def test_workers_end_when_the_caller_stops_early():
    answers = workers.in_order(process_id, range(100), 2, stopped=str)
    worker = next(answers)
    answers.close()
    assert is_gone(worker)


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_workers\nfrom emoembed.features import workers\n"
        "if __name__ == '__main__':\n"
        "    for number in workers.in_order(test_workers.process_id, range(10**6), 2, stopped=str):\n"
        "        print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
        assert is_gone(worker)


def test_a_script_without_its_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from emoembed.features.workers import in_order, require_workers\n"
        "print(list(in_order(abs, [-1], require_workers(2), stopped=str)))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "must be under `if __name__ == '__main__':`" in done.stderr


def test_a_control_group_limits_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "GROUP", tmp_path)
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text("4294967296\n")
    (tmp_path / "memory.current").write_text("3221225472\n")
    assert workers.cores() == 1
    assert workers.free_memory() <= 2**30
    for name in ("cpu.max", "memory.max"):
        (tmp_path / name).write_text("max 100000\n")
    assert workers.cores() >= 1
    assert workers.free_memory() > 0


def test_an_error_of_the_task_is_raised():
    with pytest.raises(InputError, match="0 is wrong"):
        list(workers.in_order(wrong, range(8), 2, stopped=str))


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "2"])
def test_the_number_of_workers_is_a_whole_number(value):
    with pytest.raises(InputError, match="workers must be a whole number of at least 1"):
        workers.require_workers(value)
