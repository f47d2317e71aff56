import pytest
import torch

from emoembed.encoders.trunks import bert
from emoembed.encoders.trunks.build import build_trunk

CONFIG = {
    "model_type": "bert",
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 12,
}


@pytest.fixture
def both():
    """The same weights in transformers' model and in this one."""
    from transformers import BertConfig, BertModel

    settings = {key: value for key, value in CONFIG.items() if key != "model_type"}
    theirs = BertModel(BertConfig(**settings), add_pooling_layer=False).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    ours = bert.Bert(CONFIG)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


@pytest.mark.parametrize("lengths", [[7, 7], [9, 3]])
def test_the_outputs_are_those_of_transformers(both, lengths):
    ids = torch.randint(1, 50, (2, max(lengths)))
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    theirs, ours = (model(input_ids=ids * mask, attention_mask=mask).last_hidden_state for model in both)
    for row, length in enumerate(lengths):
        assert torch.allclose(ours[row, :length], theirs[row, :length], atol=1e-6)


@pytest.mark.parametrize("change", [{"hidden_act": "relu"}, {"is_decoder": True}, {"model_type": "roberta"}])
def test_another_network_is_built_by_transformers(change):
    assert not bert.is_plain({**CONFIG, **change})
    assert isinstance(build_trunk(CONFIG), bert.Bert)
    assert not isinstance(build_trunk({**CONFIG, **change}), bert.Bert)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="given 16 and 3"):
        bert.Bert(CONFIG | {"num_attention_heads": 3})
