import json

import numpy as np
import pytest

from emoembed import corpora
from emoembed.corpora import prepared
from emoembed.errors import CorpusError
from emoembed.reading.prepare import prepare


@pytest.fixture
def folder(stand_in, tmp_path):
    prepare(corpora.load("iemocap", stand_in("iemocap", "merbench")), tmp_path / "out")
    return tmp_path / "out"


def test_what_was_prepared_is_read_back(folder, stand_in):
    before, after = corpora.load("iemocap", stand_in("iemocap", "merbench")), prepared.read(folder)
    assert (after.name, after.form, after.labels) == (before.name, before.form, before.labels)
    assert after.samples["labels"].tolist() == before.samples["labels"].tolist()
    assert after.samples["split"].tolist() == before.samples["split"].tolist()
    item = after.samples["id"].iloc[0]
    for modality, table in before.features.items():
        np.testing.assert_allclose(after.features[modality][item], table[item], rtol=1e-5)


def test_without_its_header_a_folder_is_not_finished(folder):
    assert prepared.is_prepared(folder)
    (folder / prepared.HEADER).unlink()
    assert not prepared.is_prepared(folder)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"name": "iemocap"}'])
def test_a_damaged_header_is_told(folder, content):
    (folder / prepared.HEADER).write_text(content)
    with pytest.raises(CorpusError, match=r"corpus\.json is damaged .*; prepare the corpus again"):
        prepared.read(folder)


def test_a_folder_of_another_version_is_refused(folder):
    path = folder / prepared.HEADER
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": prepared.VERSION + 1}))
    with pytest.raises(CorpusError, match="was prepared in version 2; this release reads 1: prepare it again"):
        prepared.read(folder)
