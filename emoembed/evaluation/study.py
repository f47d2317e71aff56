"""A study: which corpus, which emotions are held out, which model is trained, how often, and what is scored."""

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
    """What is measured. The corpus is read once, when `folds` is first used.

    Args:
        corpus: a corpus, or the path of a manifest.
        data: the folder that holds the corpus.
        base: the model whose untouched sentence encoder text models start from, and whose tokenizer reads texts.
        unseen: the emotions held out together, comma-separated or a list. `"each"` holds out each label in turn, or
            those that the protocol names. None holds out nothing.
        protocol: how the corpus is divided, a key of `protocols.PROTOCOLS`.
        seeds: one training each.
        split: the rows that are scored. Choose on `"valid"`; `"test"` is for a final figure.
        fold: one of RAVDESS's four folds, by position; all by default.
        method: `emoembed`, or `mtee` for the model of Dai et al. 2020.
        words: the word table that embeds labels for ready features, or a file of word vectors in any form that
            `features.text.read_word_vectors` reads. The shipped table is the default.
        epochs: the number of training epochs, in place of the recipe's.
        drop: leave out feature columns that are emotion scores themselves. False shows their effect.
        cache: the folder in which features and trained models are kept.
        progress: show bars.
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
    drop: bool = True
    cache: Path | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        protocols.get(self.protocol)
        if self.method not in METHODS:
            raise InputError(f"there is no method {self.method!r}; known are {', '.join(METHODS)}")

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """The corpus as the folds of the protocol: RAVDESS in four by actor, any other corpus in its own split.

        Raises:
            CorpusError: the corpus cannot be read, or the protocol does not divide it.
            InputError: no row bears an emotion, the split has no rows, there is no such fold, or the base model has
                no sentence encoder for a corpus of texts.
        """
        corpus = corpora.load(self.corpus, self.data)
        if kind_of(corpus) == "text" and self.base.config.phrases != "text":
            raise InputError("zero-shot text models start from a sentence encoder, which this model lacks; take 'base'")
        if isinstance(corpus, FeatureCorpus):
            corpus = prepare.cached(corpus, self.data, self.cache)
        if not corpus.samples["labels"].map(len).any():
            notes = f" ({'; '.join(corpus.notes)})" if isinstance(corpus, FeatureCorpus) else ""
            raise InputError(f"no row of {corpus.name} bears an emotion{notes}")
        divided = protocols.get(self.protocol).apply(corpus.canonical())
        if self.fold is not None and not 0 <= self.fold < len(divided):
            raise InputError(f"{corpus.name} has {len(divided)} fold(s), counted from 0; given {self.fold}")
        positions = range(len(divided)) if self.fold is None else (self.fold,)
        phrases = self._phrases(kind_of(divided[0]), reads_texts(divided[0]))
        made = tuple(
            replace(
                make_fold(divided[at], f"{divided[at].name}-{at}", phrases, self.base, self.cache, drop=self.drop),
                method=self.method,
            )
            for at in positions
        )
        for fold in made:
            fold.part(self.split)
        return made

    def _phrases(self, kind: str, texts: bool) -> PhraseEncoder:
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
        """The emotions that are held out together, group by group.

        Raises:
            LabelError: a name that the corpus does not annotate, or fewer than two labels left to train on.
            InputError: the protocol holds out other emotions together.
        """
        if self.unseen is None:
            return ()
        protocol = protocols.get(self.protocol)
        if self.unseen == "each" and protocol.unseen:
            return (protocol.unseen,) if protocol.together else tuple((label,) for label in protocol.unseen)
        groups = tuple(parse_unseen(self.unseen, self.folds[0].train.labels))
        if protocol.together and {frozenset(group) for group in groups} != {frozenset(protocol.unseen)}:
            raise InputError(
                f"{protocol.name} trains without {', '.join(protocol.unseen)} together; "
                f"given {self.unseen!r}: ask for 'each'"
            )
        return groups

    def asked(self) -> tuple[tuple[str, ...], ...]:
        """The `groups`, of which there has to be one. Raises InputError where the study holds out no emotion."""
        if not self.groups:
            raise InputError(
                f"zero-shot and few-shot need emotions that are held out; given unseen={self.unseen!r}: "
                "name them, as in unseen='fear,joy', or ask for 'each'"
            )
        return self.groups

    def runs(self) -> Iterator[tuple[Fold, tuple[str, ...], int]]:
        """Every fold, held-out group and seed. Raises InputError as `asked` does."""
        return product(self.folds, self.asked(), self.seeds)

    def training(self, *, seen: bool = False) -> TrainConfig:
        """How models are trained: with emotions held out, or with all of them `seen`."""
        config = held_out.training_of(self.folds[0], seen=seen)
        return config if self.epochs is None else replace(config, epochs=self.epochs, patience=self.epochs)

    def model(self, fold: Fold, unseen: Sequence[str], seed: int) -> EmotionModel:
        """The model of one fold that was trained without these emotions; with all of them where there are none."""
        recipe = held_out.recipe_of(fold, unseen, seed, base=self.base, training=self.training(seen=not unseen))
        return held_out.train_without(fold, unseen, recipe, cache=self.cache, progress=self.progress)
