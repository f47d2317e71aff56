"""How each modality's model is made and trained: one place for the shipped checkpoint and for every experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from emoembed.corpora import feature_names
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.errors import InputError
from emoembed.features import audio
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder, WordTable
from emoembed.labels.projections import LabelParts, LabelProjection
from emoembed.labels.space import VAD_DIM, LabelSpace
from emoembed.model.config import ModalityConfig, ModelConfig
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData
from emoembed.training import augment
from emoembed.training.loop import Augment, TrainConfig

TEXT_RANK = 16
TEXT_STRENGTH = 0.8
"""Of the trained adapters in `base`, between the untouched encoder (0) and the trained one (1); chosen on validation
rows of semeval2018, six emotions by name, a corpus that is not trained on: `docs/ablation/by-name`."""
TEXT_DETAIL, DETAIL = 128, 64
"""Directions of texts, and of sounds and faces, that no word says, for examples to be told by."""
SPACE_DIM = 68
"""Of the spaces of sound and faces: valence, arousal and dominance 4, a cue 32, words 32."""
TEXT_PARTS = LabelParts(vad_share=0.1)
SPEECH_PARTS = LabelParts(vad_share=0.5, cue_share=0.4, cue="sounds", vad_weights=(0.6, 1.0, 1.0, 0.8))
FACE_PARTS = LabelParts(vad_share=0.5, cue_share=0.4, cue="looks")
"""Chosen on validation actors of RAVDESS, emotions held out: `docs/ablation/label-parts`."""
FACE_OVERVIEW = 0.5
"""Share of the map in closed form beside the face network; see `encoders.layers.joined`."""
FEW_RECORDINGS = 2000
"""Below so many training rows speech is read by its statistics alone."""
MODALITY_DROPOUT = 0.3
"""Chance that a clip of sound and face loses one of them in training, so that either stands alone."""
REVISION = {"text": 5, "audio": 6, "video": 5}
"""Raised when a change to a modality's features, encoders or training makes models kept in the cache stale."""

AUGMENTATIONS: dict[str, dict[str, Any] | None] = {
    "usual": {},
    "none": None,
    "with noise": {"noise": True},
    "without noise": {"noise": False},
    "with tempo": {"tempo": 0.1},
    "no throat": {"throat": 0.0},
}
"""Ways to change training batches: what departs from the usual settings of `augment.speech`; None leaves them alone."""

TRAINING = {
    "text": TrainConfig(
        epochs=2,
        batch_size=64,
        learning_rate=1e-3,
        weight_decay=0.0,
        patience=3,
        stay_close=1.0,
        stay_close_text=100.0,
        max_frames=64,
    ),
    "audio": TrainConfig(
        epochs=36,
        batch_size=32,
        learning_rate=1e-3,
        patience=12,
        pull=1.0,
        balance=0.5,
        label_smoothing=0.1,
        max_frames=400,
    ),
    "functionals": TrainConfig(
        epochs=25, batch_size=32, learning_rate=2e-3, patience=25, pull=1.0, label_smoothing=0.1, max_frames=400
    ),
    "video": TrainConfig(
        epochs=60,
        batch_size=128,
        learning_rate=2e-3,
        patience=20,
        pull=0.1,
        balance=0.25,
        label_smoothing=0.1,
        weight_decay=0.05,
    ),
    "sequence": TrainConfig(
        epochs=30, batch_size=64, learning_rate=1e-3, patience=8, positive_weight=True, modality_dropout=0.2, bf16=False
    ),
    # Dai et al. 2020: Adam 1e-3, batches of 64, weighted BCE; there the rate falls on plateaus, here as a cosine
    "mtee": TrainConfig(
        epochs=100, batch_size=64, learning_rate=1e-3, weight_decay=0.0, patience=8, positive_weight=True, bf16=False
    ),
    "action_units": TrainConfig(
        epochs=60, batch_size=32, learning_rate=2e-3, patience=20, pull=1.0, balance=0.5, bf16=False
    ),
}
TRAINING["pixels"] = replace(TRAINING["video"], batch_size=16)  # a step of a transformer takes much memory


def training(kind: str, seed: int = 0, **changes: object) -> TrainConfig:
    """The training settings of a kind of model (a key of `TRAINING`), with a seed and any changes."""
    return replace(TRAINING[kind], seed=seed, **changes)  # type: ignore[arg-type]


def kind_of(modality: str, config: ModalityConfig) -> str:
    """The key of `TRAINING` for a modality that is read so."""
    if config.features == "speech" and config.encoder == "pooled":
        return "functionals"
    if config.features == "pixels":
        return "pixels"
    return "audio" if config.features == "words" else modality


def text_modality(trunk_config: dict[str, object], rank: int = TEXT_RANK) -> ModalityConfig:
    """Sentences: a transformer whose untouched half embeds labels and whose low-rank adapters are trained."""
    hidden = int(trunk_config["hidden_size"])  # type: ignore[call-overload]
    settings = {"trunk_config": trunk_config, "rank": rank, "vad_share": TEXT_PARTS.vad_share}
    return ModalityConfig(
        "wordpieces", "transformer", hidden + VAD_DIM, ("token",), settings, parts=TEXT_PARTS, detail=TEXT_DETAIL
    )


def audio_modality() -> ModalityConfig:
    """Speech: log-mel bands and prosody through convolutions and a BiGRU."""
    return ModalityConfig(
        "speech", "spectrogram", SPACE_DIM, audio.SPEECH.columns, {"overview": 0.5}, parts=SPEECH_PARTS, detail=DETAIL
    )


def speech_modality(recordings: int) -> ModalityConfig:
    """What reads speech, given how many recordings there are to train on."""
    return functionals_modality() if recordings < FEW_RECORDINGS else audio_modality()


def functionals_modality() -> ModalityConfig:
    """Speech by its statistics alone: with a thousand recordings a network over their frames learns less."""
    settings = {"summary": "functionals", "overview": 0.5}
    return ModalityConfig(
        "speech", "pooled", SPACE_DIM, audio.SPEECH.columns, settings, parts=SPEECH_PARTS, detail=DETAIL
    )


def video_modality() -> ModalityConfig:
    """Faces: a small CNN over each 48x48 face, joined by a map in closed form of what it has learned to see."""
    return ModalityConfig(
        "faces", "face", SPACE_DIM, settings={"overview": FACE_OVERVIEW}, parts=FACE_PARTS, detail=DETAIL
    )


def action_unit_modality(columns: Sequence[str]) -> ModalityConfig:
    """Facial action units, one row a clip or frame by frame, through a perceptron."""
    return ModalityConfig(
        "action_units", "pooled", SPACE_DIM, tuple(columns), {"hidden": 128, "overview": 0.5}, parts=FACE_PARTS
    )


def sequence_modality(columns: Sequence[str]) -> ModalityConfig:
    """Ready features in time order, such as word-aligned COVAREP or FACET, through a BiGRU with attention pooling."""
    return ModalityConfig(
        "sequence", "recurrent", 68, tuple(columns), {"hidden": 96}, parts=LabelParts(vad_share=0.3), detail=DETAIL
    )


def word_modality(columns: Sequence[str]) -> ModalityConfig:
    """Word vectors of the table that embeds the labels: their mean with a recurrent correction."""
    return ModalityConfig("words", "words", len(columns), tuple(columns), {"hidden": 96})


def augment_of(modalities: Mapping[str, ModalityConfig], way: str = "usual") -> dict[str, Augment]:
    """What to do to training batches: only this package's own features of sound and faces are augmented.

    Where a recording is read by its statistics no noise is added: its floor would hide how quiet quiet moments are,
    which is among them, and on validation actors of RAVDESS that costs recall of emotions seen and held out. Neither
    is the tempo changed, which costs some recall of seen ones (`docs/ablation/audio` has both).

    Args:
        modalities: of the model.
        way: a key of `AUGMENTATIONS`.
    """
    departs = AUGMENTATIONS[way]
    if departs is None:
        return {}
    changes: dict[str, Augment] = {}
    for name, one in modalities.items():
        if one.features == "speech":
            settings = {"noise": one.encoder != "pooled", **departs}
            changes[name] = partial(augment.speech, **settings)
        elif one.features == "faces":
            changes[name] = augment.faces
    return changes


def build(
    modalities: Mapping[str, ModalityConfig], phrases: PhraseEncoder, seed: int = 0, like: EmotionModel | None = None
) -> EmotionModel:
    """An untrained model over a phrase encoder; a transformer text modality shares the phrase encoder's trunk.

    With `like`, a model over the same phrase encoder, what needs rated sentences to be fitted is taken from it: the
    label space, and how texts are read for valence, arousal and dominance. Neither ever saw an emotion label.
    """
    torch.manual_seed(seed)
    config = ModelConfig(
        dict(modalities), phrase_dim=phrases.dim, phrases="table" if isinstance(phrases, WordTable) else "text"
    )
    model = EmotionModel(config, phrases)
    if isinstance(phrases, SentenceEncoder) and "text" in model.encoders:
        text = model.encoders["text"]
        assert isinstance(text, TransformerEncoder)
        text.trunk.load_state_dict(phrases.encoder.trunk.state_dict())
        model.phrases = SentenceEncoder(text, phrases.tokenizer)
    if like is None or not isinstance(like.space, LabelSpace):
        start_projections(model)
        return model.eval()
    assert isinstance(model.space, LabelSpace)
    model.space.take(like.space)
    start_projections(model, fit=False)
    if "text" in model.encoders and "text" in like.encoders:
        theirs = {n: v for n, v in like.encoders["text"].state_dict().items() if n.startswith("ratings.")}
        model.encoders["text"].load_state_dict(theirs, strict=False)
    return model.eval()


def build_mtee(modalities: Mapping[str, ModalityConfig], words: WordTable, seed: int = 0) -> EmotionModel:
    """The model of Dai et al. 2020 over ready features: `ModelConfig.mtee` at the sizes these have.

    Raises:
        InputError: text is not word vectors of the size of the labels' own.
    """
    columns = {name: one.columns for name, one in modalities.items()}
    if any(not there or modalities[name].encoder == "transformer" for name, there in columns.items()):
        raise InputError("mtee reads ready features with word vectors as text, not raw texts or media")
    if "text" in columns and len(columns["text"]) != words.dim:
        raise InputError(
            f"mtee compares words with labels in one space: text has {len(columns['text'])} columns, the labels' word "
            f"vectors {words.dim}; give the vectors the text was made with (--words FILE)"
        )
    torch.manual_seed(seed)
    return EmotionModel(ModelConfig.mtee(columns, words.dim), words).eval()


def start_projections(model: EmotionModel, *, fit: bool = True) -> None:
    """Fit the label space on the label table, and start each projection on the table's leading word directions."""
    from emoembed.labels.emotion import table

    assert model.phrases is not None
    if fit:
        model.space.fit(model.phrases)
    names = list(table())
    words = model.embed(names)[:, : model.config.phrase_dim]
    _, _, directions = torch.linalg.svd(words.float(), full_matrices=False)
    for name, projection in model.projections.items():
        config = model.config.modalities[name]
        whole = config.embed_dim == model.config.phrase_dim + (VAD_DIM if config.parts.vad_share else 0)
        if isinstance(projection, LabelProjection):
            projection.reset(torch.eye(model.config.phrase_dim) if whole else directions)


def temper(model: EmotionModel, strength: float = TEXT_STRENGTH) -> EmotionModel:
    """Let the text encoder's adapters count so much: weights between untrained and trained (WiSE-FT)."""
    config = model.config.modalities["text"]
    encoder = model.encoders["text"]
    assert isinstance(encoder, TransformerEncoder)
    assert encoder.adapters is not None
    encoder.adapters.strength = strength
    encoder.train(encoder.training)  # forgets the weights merged before
    changed = replace(config, settings={**config.settings, "strength": strength})
    return described(model, modalities={**model.config.modalities, "text": changed})


def feature_data(
    corpus: FeatureCorpus, phrases: PhraseEncoder, text: ModalityConfig | None = None, *, drop: bool = True
) -> tuple[EmotionData, dict[str, ModalityConfig]]:
    """Rows with a corpus's own features, and the modalities that read them.

    Args:
        corpus: with feature tables; raw texts are read where text has no table.
        phrases: whose tokenizer makes rows of raw texts.
        text: what reads raw texts, where they shall be read.
        drop: leave out the columns that are emotion scores themselves (`corpora.feature_names.emotion_columns`).
    """
    own = {"speech": audio_modality, "faces": video_modality}
    inputs: dict[str, Mapping[str, np.ndarray]] = {}
    modalities: dict[str, ModalityConfig] = {}
    for name, table in corpus.features.items():
        columns = table.feature_set.columns
        if table.feature_set.name in own:
            inputs[name], modalities[name] = {i: table[i] for i in table}, own[table.feature_set.name]()
            continue
        keep = feature_names.positions(columns, feature_names.emotion_columns(columns) if drop else ())
        inputs[name] = {i: np.asarray(table[i])[:, keep] for i in table if len(table[i])}
        same_space = name == "text" and isinstance(phrases, WordTable) and phrases.dim == len(keep)
        modalities[name] = (word_modality if same_space else sequence_modality)([columns[i] for i in keep])
    if text is not None and isinstance(phrases, SentenceEncoder) and corpus.samples["text"].notna().any():
        inputs["text"], modalities["text"] = corpus_rows.tokens(corpus, phrases), text
    return corpus_rows.annotate(corpus, inputs), modalities


def described(model: EmotionModel, **changes: object) -> EmotionModel:
    """Set fields of a model's configuration: the same weights under a new description."""
    model.config = replace(model.config, **changes)  # type: ignore[arg-type]
    return model
