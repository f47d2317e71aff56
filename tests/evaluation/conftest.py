import numpy as np
import pandas as pd
import pytest

KINDS = {
    "joy": ("jubilant", "sunny", "merry"),
    "anger": ("wrathful", "irate", "cross"),
    "sadness": ("downcast", "blue", "tearful"),
    "fear": ("afraid", "scared", "shaken"),
}


@pytest.fixture
def manifest(tmp_path):
    """The path of 96 sentences whose words say their label: 48 train, 24 valid, 24 test."""
    generator = np.random.default_rng(0)
    labels = list(KINDS) * 24
    texts = [" ".join(generator.choice(KINDS[label], 2)) for label in labels]
    splits = np.repeat(["train", "valid", "test"], [48, 24, 24])
    path = tmp_path / "toy.csv"
    table = pd.DataFrame({"id": [f"r{i}" for i in range(96)], "text": texts, "labels": labels, "split": splits})
    table.to_csv(path, index=False)
    return path
