"""What a fresh process imports: a text needs few packages, and the help needs no torch."""

import ast
import subprocess
import sys

import pytest

SLOW = (
    "transformers",
    "pandas",
    "sklearn",
    "scipy",
    "matplotlib",
    "huggingface_hub",
    "librosa",
    "sympy",
    "torch._dynamo",
)


def imported_by(code):
    """The modules of `SLOW`, and torch, that a fresh process has imported after `code`."""
    names = (*SLOW, "torch")
    call = f"{code}\nimport sys; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True)
    return ast.literal_eval(done.stdout.splitlines()[-1])


def test_a_text_is_answered_without_slow_packages():
    assert imported_by("import emoembed; emoembed.predict('so merry', labels=['joy', 'awe'])") == ["torch"]


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["labels"]])
def test_help_and_the_list_of_labels_need_no_torch(arguments):
    code = f"from emoembed.interfaces.cli import main\ntry: main({arguments})\nexcept SystemExit: pass"
    assert "torch" not in imported_by(code)
