import json
import os
import subprocess
import sys

import pytest
import torch
from tokenizers import Tokenizer

from emoembed.errors import CheckpointError, InputError, MissingFileError
from emoembed.model import checkpoint, checkpoint_files


@pytest.fixture
def saved(three_model, tmp_path):
    checkpoint.save(three_model, tmp_path / "model", card="# card\n", license_text="terms\n")
    return tmp_path / "model"


def test_a_round_trip_changes_no_answer(three_model, saved):
    again = checkpoint.load(saved)
    audio = {"audio": (torch.randn(2, 30, 84), torch.tensor([30, 20]))}
    one, other = (m.encode(audio)["audio"] for m in (three_model, again))
    assert (one * other).sum(dim=1).min() > 0.999  # large weights are stored in half precision
    labels, again_labels = (m.embed(["joy", "awe"]) for m in (three_model, again))
    assert (labels * again_labels).sum(dim=1).min() > 1.999
    assert (saved / "README.md").read_text() == "# card\n"


def test_a_word_table_travels_with_its_model(units_model, tmp_path):
    checkpoint.save(units_model, tmp_path / "units")
    again = checkpoint.load(tmp_path / "units")
    torch.testing.assert_close(again.embed(["joy", "awe"]), units_model.embed(["joy", "awe"]), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_an_altered_or_missing_file_is_refused(saved, name):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=rf"{name} is not the file that was saved"):
        checkpoint.load(saved)
    (saved / name).unlink()
    with pytest.raises(MissingFileError, match=f"lacks {name}"):
        checkpoint.load(saved)


@pytest.mark.parametrize("name", ["tokenizer.json", "words.bin"])
def test_a_file_that_is_read_and_not_listed_is_refused(saved, name):
    sums = json.loads((saved / "checksums.json").read_text())
    sums.pop(name, None)
    (saved / name).write_bytes(b"altered")
    (saved / "checksums.json").write_text(json.dumps(sums))
    with pytest.raises(CheckpointError, match=rf"checksums\.json does not list {name}"):
        checkpoint.load(saved)


def test_an_edited_card_is_told(saved):
    (saved / "README.md").write_text("# the best model there is\n")
    with pytest.warns(UserWarning, match=r"README\.md was edited after the checkpoint was saved"):
        checkpoint.load(saved)


def test_the_files_that_ship_are_those_that_were_saved():
    for name in ("base", "ravdess-av", "text-permissive"):
        files = checkpoint_files.read_files(checkpoint_files.find_folder(name))  # a warning would be an error
        assert "config.json" in files


@pytest.mark.parametrize("sums", ["{", "[1]", "{}", '{"config.json": "0"}'])
def test_damaged_checksums_are_refused(saved, sums):
    (saved / "checksums.json").write_text(sums)
    with pytest.raises(CheckpointError, match=r"checksums\.json (is damaged|does not list)"):
        checkpoint.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"modalities": {}},
        {"phrases": "smoke"},
        {"colour": 1},
        {"phrase_dim": "x"},
        {"state": {"colour": 1}},
        {"state": {}, "more": 1},
    ],
)
def test_a_configuration_of_something_else_is_refused(saved, change):
    values = json.loads((saved / "config.json").read_text())
    changed = {**values, **change} if "state" in change else {**values, "config": {**values["config"], **change}}
    (saved / "config.json").write_text(json.dumps(changed))
    checkpoint_files.write_checksums(saved)
    with pytest.raises(CheckpointError, match=r"config\.json does not describe a model of this release"):
        checkpoint.load(saved)


@pytest.mark.parametrize("name", ["./nope", "nope/", "../nope", "/nope", "nope", "a/b/c"])
def test_a_mistyped_folder_is_never_asked_of_the_hub(name):
    with pytest.raises(MissingFileError, match="no checkpoint"):
        checkpoint_files.find_folder(name)


def test_another_version_is_refused(saved):
    values = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**values, "version": 99}))
    checkpoint_files.write_checksums(saved)
    with pytest.raises(CheckpointError, match=r"version 99; this release reads version 7"):
        checkpoint.load(saved)


def test_weights_of_another_model_are_refused(saved, units_model, tmp_path):
    checkpoint.save(units_model, tmp_path / "other")
    (saved / "model.safetensors").write_bytes((tmp_path / "other/model.safetensors").read_bytes())
    checkpoint_files.write_checksums(saved)
    with pytest.raises(CheckpointError, match=r"does not match its config\.json"):
        checkpoint.load(saved)


def test_a_folder_with_other_files_is_left_alone(three_model, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match=r"contains files that do not belong to a checkpoint \(thesis.tex\)"):
        checkpoint.save(three_model, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_full_disk_leaves_the_old_checkpoint(saved):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    code = (
        "import resource, sys, emoembed; from emoembed.errors import EmoembedError; model = emoembed.load(sys.argv[1]);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: model.save_pretrained(sys.argv[1])\n"
        "except EmoembedError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(saved)], capture_output=True, text=True)
    assert "OutputError" in done.stdout, done.stderr
    assert "File too large; its old content is unchanged" in done.stdout
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_reader_finds_a_whole_checkpoint_while_two_processes_save(three_model, saved):
    code = (
        "import sys, time; from pathlib import Path; from emoembed.model import checkpoint;"
        "model = checkpoint.load(Path(sys.argv[1])); until = time.monotonic() + 4; count = 0\n"
        "while time.monotonic() < until: checkpoint.save(model, sys.argv[1]); count += 1\n"
        "print(count)"
    )
    command = [sys.executable, "-c", code, str(saved)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        checkpoint_files.read_files(saved)
        reads += 1
    assert all(int(writer.communicate()[0]) > 5 for writer in writers)
    assert reads > 50
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_what_was_killed_between_two_renames_is_found_again(saved):
    old = saved.with_name(f".{saved.name}.replaced")
    saved.rename(old)
    model = checkpoint.load(checkpoint_files.find_folder(saved))
    checkpoint.save(model, saved)
    checkpoint.save(model, saved)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_link_is_saved_through(three_model, saved, tmp_path):
    (tmp_path / "link").symlink_to(saved)
    before = (saved / "checksums.json").stat().st_mtime_ns
    checkpoint.save(three_model, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (saved / "checksums.json").stat().st_mtime_ns > before


def test_a_configuration_larger_than_its_weights_takes_no_memory(saved):
    values = json.loads((saved / "config.json").read_text())
    values["config"]["modalities"]["text"]["settings"]["trunk_config"]["vocab_size"] = 10**9
    (saved / "config.json").write_text(json.dumps(values))
    checkpoint_files.write_checksums(saved)
    with pytest.raises(CheckpointError, match=r"word_embeddings\.weight must be \(1000000000, 16\) and is"):
        checkpoint.load(saved)


def test_offline_is_offline(monkeypatch):
    import socket

    def forbidden(*_):
        raise AssertionError("a network call")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setenv("EMOEMBED_OFFLINE", "1")
    with pytest.raises(MissingFileError, match="EMOEMBED_OFFLINE is set"):
        checkpoint_files.find_folder("nobody/nothing")


def test_an_unknown_name_lists_what_ships():
    with pytest.raises(MissingFileError, match=r"no checkpoint 'bsae': give a shipped checkpoint \(base"):
        checkpoint_files.find_folder("bsae")
    with pytest.raises(InputError, match="a checkpoint must be a name, a folder or a hub id; given None"):
        checkpoint_files.find_folder(None)


def test_a_folder_that_cannot_be_made_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be created"):
        checkpoint_files.require_own_folder(tmp_path / "file" / "model")


def test_what_is_written_does_not_depend_on_the_locale(tmp_path):
    code = (
        "import emoembed, sys; base = emoembed.load('base');"
        "base.adapt([{'text': 'je le veux', 'label': 'd\\u00e9sir'}]).save_pretrained(sys.argv[1]);"
        "print(ascii(emoembed.load(sys.argv[1]).model.state.taught))"
    )
    settings = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m")], env=settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "d\\xe9sir" in done.stdout


@pytest.mark.parametrize(("value", "expected"), [(None, False), ("", False), ("0", False), ("1", True)])
def test_only_a_setting_forbids_the_network(monkeypatch, value, expected):
    monkeypatch.delenv("EMOEMBED_OFFLINE", raising=False)
    if value is not None:
        monkeypatch.setenv("EMOEMBED_OFFLINE", value)
    assert checkpoint_files.offline() is expected


def test_a_folder_that_is_no_checkpoint_is_never_asked_of_the_hub(tmp_path, monkeypatch):
    (tmp_path / "user" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMOEMBED_OFFLINE", "1")
    with pytest.raises(MissingFileError, match=r"no checkpoint 'user/name': give a shipped checkpoint"):
        checkpoint_files.find_folder("user/name")


def test_a_file_in_the_place_of_a_folder_is_told_and_stays(three_model, tmp_path):
    (tmp_path / "model").write_text("years of work")
    with pytest.raises(CheckpointError, match="is a file; a checkpoint must be a folder"):
        checkpoint.save(three_model, tmp_path / "model")
    assert (tmp_path / "model").read_text() == "years of work"


def test_a_tokenizer_whose_special_tokens_do_not_fit_is_refused(saved):
    content = json.loads((saved / "tokenizer.json").read_text())
    post = content["post_processor"]
    special = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}] * 70
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [*special, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [*special, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [post["cls"][1]], "tokens": ["[CLS]"]}},
    }
    (saved / "tokenizer.json").write_text(json.dumps(content))
    checkpoint_files.write_checksums(saved)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json adds \d+ tokens to a short text, more than the \d+"):
        checkpoint.load(saved)


def test_a_tokenizer_of_more_words_than_the_encoder_is_refused(saved):
    content = json.loads((saved / "tokenizer.json").read_text())
    content["model"]["vocab"]["further"] = len(content["model"]["vocab"])
    (saved / "tokenizer.json").write_text(json.dumps(content))
    checkpoint_files.write_checksums(saved)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json has token ids up to \d+ and the encoder \d+"):
        checkpoint.load(saved)


def test_a_tokenizer_that_pads_and_cuts_nothing_is_set_right(saved, three_model):
    content = json.loads((saved / "tokenizer.json").read_text())
    tokenizer = Tokenizer.from_str(json.dumps({**content, "truncation": None}))
    tokenizer.enable_padding(length=64)
    (saved / "tokenizer.json").write_text(tokenizer.to_str())
    checkpoint_files.write_checksums(saved)
    phrases = checkpoint.load(saved).phrases
    assert phrases.token_ids(["joy"]) == three_model.phrases.token_ids(["joy"])
    assert len(phrases.token_ids(["joy " * 99])[0]) == 64


def test_a_word_table_that_declares_more_than_it_holds_is_refused(units_model, tmp_path):
    checkpoint.save(units_model, tmp_path / "units")
    content = (tmp_path / "units" / "words.bin").read_bytes()
    (tmp_path / "words.bin").write_bytes(b"99999999 300" + content[content.index(b"\n") :])
    with pytest.raises(InputError, match=r"words\.bin says it holds 99999999 vectors of 300 numbers, too many"):
        checkpoint.read_word_table(tmp_path / "words.bin")


def test_the_digest_of_a_folder_changes_with_what_is_saved(saved, units_model, tmp_path):
    before = checkpoint_files.digest(saved)
    checkpoint.save(units_model, tmp_path / "other")
    assert len({before, checkpoint_files.digest(tmp_path / "other"), ""}) == 3
    assert checkpoint_files.digest(saved) == before


@pytest.mark.parametrize("held", [{"README.md": "my notes"}, {"config.json": "{}", "model.safetensors": "weights"}])
def test_a_folder_of_something_else_is_never_replaced(three_model, tmp_path, held):
    for name, content in held.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match="contains files that do not belong to a checkpoint"):
        checkpoint.save(three_model, tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == held


def test_a_folder_that_nobody_else_may_read_stays_so(three_model, saved):
    saved.chmod(0o700)
    checkpoint.save(three_model, saved)
    assert saved.stat().st_mode & 0o777 == 0o700


def test_weights_that_are_no_numbers_are_refused(three_model, saved):
    with torch.no_grad():
        next(three_model.parameters()).fill_(float("nan"))
    checkpoint.save(three_model, saved)
    with pytest.raises(CheckpointError, match="NaN or infinite weights"):
        checkpoint.load(saved)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_in_the_place_of_weights_is_refused_and_not_waited_for(saved):
    (saved / "model.safetensors").unlink()
    os.mkfifo(saved / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a regular file"):
        checkpoint.load(saved)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""},
        {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100},
        {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 20},
    ],
)
def test_a_tokenizer_that_takes_for_ever_or_grows_is_refused(saved, part):
    held = json.loads((saved / "tokenizer.json").read_text())
    (saved / "tokenizer.json").write_text(json.dumps({**held, "normalizer": part}))
    checkpoint_files.write_checksums(saved)
    with pytest.raises(CheckpointError, match=r"may never finish|texts grow"):
        checkpoint.load(saved)


@pytest.mark.parametrize("described", [{"awe": {"foo": 1}}, 5])
def test_a_description_that_is_none_is_found_when_the_checkpoint_is_read(saved, described):
    config = json.loads((saved / "config.json").read_text())
    config["state"]["described"] = described
    (saved / "config.json").write_text(json.dumps(config))
    checkpoint_files.write_checksums(saved)
    with pytest.raises(CheckpointError, match="does not describe a model"):
        checkpoint.load(saved)


def test_a_file_too_large_for_a_checkpoint_is_not_read(saved):
    os.truncate(saved / "config.json", 40 * 2**30)
    with pytest.raises(CheckpointError, match=r"config\.json: 42,949,672,960 bytes exceed the limit"):
        checkpoint.load(saved)
