"""A study: a corpus, the held-out emotions, the model, the seeds, and the split that is scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path

from emoembed import corpora
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.errors import InputError
from emoembed.evaluation import held_out, protocols
from emoembed.evaluation.folds import METHODS, Fold, kind_of, make_fold, parse_unseen, phrases_for, reads_texts
from emoembed.features.text import read_word_vectors
from emoembed.labels.phrases import PhraseEncoder, WordTable
from emoembed.model.model import EmotionModel
from emoembed.reading import prepare
from emoembed.training.config import TrainConfig


@dataclass(frozen=True)
class Study:
    """The settings of an evaluation. The corpus is read once, when `folds` is first used.

    Args:
        corpus: the name of a corpus, or the path of a manifest.
        data: the folder that holds the corpus.
        base: text models start from its untrained sentence encoder and use its tokenizer.
        unseen: the emotions held out together, comma-separated or a list. `"each"` holds out each label in turn, or
            the unseen labels of the protocol. None holds out nothing.
        protocol: how the corpus is divided, a key of `protocols.PROTOCOLS`.
        seeds: one model is trained for each seed.
        split: the rows that are scored. Make choices on `"valid"`; `"test"` is for the final result.
        fold: the position of one fold, from 0; all folds by default.
        method: `emoembed`, or `mtee` for the model of Dai et al. 2020.
        words: the word table that embeds labels for ready features, or a file of word vectors that
            `features.text.read_word_vectors` can read. The default is the shipped table.
        epochs: the number of training epochs. None: that of the recipe.
        drop_emotion_columns: leave out feature columns that are themselves emotion scores. False shows their effect.
        cache: the folder for features and trained models.
        progress: show progress bars.
    """

    corpus: str
    data: Path
    base: EmotionModel
    unseen: str | Sequence[str] | None = None
    protocol: str = "default"
    seeds: Sequence[int] = (0,)
    split: str = "valid"
    fold: int | None = None
    method: str = "emoembed"
    words: WordTable | Path | None = None
    epochs: int | None = None
    drop_emotion_columns: bool = True
    cache: Path | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        protocols.get(self.protocol)
        if self.method not in METHODS:
            raise InputError(f"there is no method {self.method!r}; known are {', '.join(METHODS)}")

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """The folds of the corpus under the protocol.

        The default protocol divides RAVDESS into four folds by actor; any other corpus is one fold with its own split.

        Raises:
            CorpusError: the corpus cannot be read, or the protocol does not apply to it.
            InputError: no row has an emotion, the split has no rows, the fold does not exist, or the base model has
                no sentence encoder for a corpus of texts.
        """
        corpus = corpora.load(self.corpus, self.data)
        if kind_of(corpus) == "text" and self.base.config.phrases != "text":
            raise InputError("text models start from a sentence encoder, but this model has a word table; use 'base'")
        if isinstance(corpus, FeatureCorpus):
            corpus = prepare.cached(corpus, self.data, self.cache)
        if not corpus.samples["labels"].map(len).any():
            notes = f" ({'; '.join(corpus.notes)})" if isinstance(corpus, FeatureCorpus) else ""
            raise InputError(f"no row of {corpus.name} has an emotion label{notes}")
        divided = protocols.get(self.protocol).apply(corpus.canonical())
        if self.fold is not None and not 0 <= self.fold < len(divided):
            raise InputError(f"{corpus.name} has {len(divided)} fold(s), numbered from 0; given {self.fold}")
        positions = range(len(divided)) if self.fold is None else (self.fold,)
        phrases = self._phrases(kind_of(divided[0]), reads_texts(divided[0]))
        folds = tuple(
            replace(
                make_fold(
                    divided[at],
                    f"{divided[at].name}-{at}",
                    phrases,
                    self.base,
                    self.cache,
                    drop_emotion_columns=self.drop_emotion_columns,
                ),
                method=self.method,
            )
            for at in positions
        )
        for fold in folds:
            fold.part(self.split)
        return folds

    def _phrases(self, kind: str, texts: bool) -> PhraseEncoder:
        """The encoder of labels for a kind of recipe; `texts` says whether the corpus has raw texts."""
        if kind == "text" or texts:
            return phrases_for("text", self.base)
        if isinstance(self.words, WordTable):
            return self.words
        if self.words is None:
            return phrases_for(kind, self.base)
        vectors = read_word_vectors(self.words)
        return WordTable(vectors.index_to_key, vectors.vectors, Path(self.words).name, scale=self.method != "mtee")

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Groups of emotions. The emotions of one group are held out together.

        Raises:
            LabelError: a name that the corpus does not annotate, or fewer than two labels left to train on.
            InputError: the protocol holds out one fixed group, and `unseen` is another.
        """
        if self.unseen is None:
            return ()
        protocol = protocols.get(self.protocol)
        if self.unseen == "each" and protocol.unseen:
            return (protocol.unseen,) if protocol.together else tuple((label,) for label in protocol.unseen)
        groups = tuple(parse_unseen(self.unseen, self.folds[0].train.labels))
        if protocol.together and {frozenset(group) for group in groups} != {frozenset(protocol.unseen)}:
            raise InputError(
                f"protocol {protocol.name!r} holds out {', '.join(protocol.unseen)} together; "
                f"given {self.unseen!r}: use unseen='each'"
            )
        return groups

    def held_out_groups(self) -> tuple[tuple[str, ...], ...]:
        """The `groups`. Raises InputError if the study holds out no emotion."""
        if not self.groups:
            raise InputError(
                f"zero-shot and few-shot evaluation need held-out emotions; given unseen={self.unseen!r}: "
                "name them, as in unseen='fear,joy', or use 'each'"
            )
        return self.groups

    def runs(self) -> Iterator[tuple[Fold, tuple[str, ...], int]]:
        """Every combination of fold, held-out group and seed. Raises InputError like `held_out_groups`."""
        return product(self.folds, self.held_out_groups(), self.seeds)

    def training(self, *, seen: bool = False) -> TrainConfig:
        """The training settings: with held-out emotions, or with all emotions `seen`."""
        config = held_out.training_of(self.folds[0], seen=seen)
        return config if self.epochs is None else replace(config, epochs=self.epochs, patience=self.epochs)

    def model(self, fold: Fold, unseen: Sequence[str], seed: int) -> EmotionModel:
        """The model of one fold, trained without the `unseen` emotions. If `unseen` is empty, it is trained on all."""
        recipe = held_out.recipe_of(fold, unseen, seed, base=self.base, training=self.training(seen=not unseen))
        return held_out.train_without(fold, unseen, recipe, cache=self.cache, progress=self.progress)
