"""A classifier in the form of scikit-learn: `fit` teaches labels by examples, `predict_proba` scores items."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted

from emoembed.errors import InputError
from emoembed.labels.emotion import resolve
from emoembed.model.config import MODALITIES
from emoembed.prediction.public import load

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from emoembed.prediction.recognizer import Recognizer


class EmotionClassifier(ClassifierMixin, BaseEstimator):
    """Emotion recognition with the interface of scikit-learn, for pipelines, cross-validation and model selection.

    `fit` teaches each class from its examples, in addition to its name (`Recognizer.adapt`). A few examples of each
    class are enough. With `shots=0`, `fit` uses no examples, and the classes are recognised by name alone.

    Args:
        model: the name of a checkpoint that ships, a folder, or a hub id.
        shots: how many examples of each class are learned at most, from the beginning of `X`; None for all.
        descriptions: class -> description, as in `labels` of `emoembed.predict`; for classes whose names say little.
        batch_size: how many items are computed together.

    Attributes:
        classes_: the classes, sorted `(classes,)`.
        recognizer_: the model after `fit`.

    Examples:
        >>> from emoembed.sklearn import EmotionClassifier
        >>> texts, classes = ["We won!", "We did it!", "Get out!", "How dare you!"], ["joy", "joy", "anger", "anger"]
        >>> classifier = EmotionClassifier().fit(texts, classes)
        >>> classifier.predict(["What a lovely day!", "You lied to me!"]).tolist()
        ['joy', 'anger']
        >>> classifier.predict_proba(["What a lovely day!"]).shape
        (1, 2)
    """

    def __init__(
        self,
        model: str = "base",
        *,
        shots: int | None = None,
        descriptions: dict[str, Any] | None = None,
        batch_size: int = 32,
    ) -> None:
        self.model = model
        self.shots = shots
        self.descriptions = descriptions
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any) -> EmotionClassifier:
        """Learn the classes from examples.

        Args:
            X: a table with any of the columns text, audio and video; or a list or array of texts.
            y: the class of each item, names of emotions, `(items,)`.

        Raises:
            InputError: `X` has another form, `X` and `y` differ in length, a class is not a name, or `shots` is not a
            number. LabelError: two classes are the same emotion, or a description is invalid. MediaError,
            MissingFileError: an item cannot be used.
        """
        _check_shots(self.shots)
        columns, names = _columns_of(X), [_name_of(label) for label in np.asarray(y, dtype=object)]
        rows = len(next(iter(columns.values())))
        if rows != len(names) or not names:
            raise InputError(f"X has {rows} items and y has {len(names)} labels; give one label per item, at least one")
        classes = unique_labels(names)
        described = self._described(classes)
        resolve(described)
        recognizer = load(self.model)
        counts = dict.fromkeys(names, 0)
        support = []
        for row, name in enumerate(names):
            counts[name] += 1
            if self.shots is None or counts[name] <= self.shots:
                support.append({"label": name, **{column: values[row] for column, values in columns.items()}})
        self.recognizer_: Recognizer = recognizer.adapt(support, described) if support else recognizer
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities `(items, classes)`, in the order of `classes_`; each row sums to one."""
        check_is_fitted(self, "classes_")
        columns = _columns_of(X)
        inputs = {name: columns.get(name) for name in MODALITIES}
        results = self.recognizer_.predict(
            inputs["text"], inputs["audio"], inputs["video"], self._described(self.classes_), batch_size=self.batch_size
        )
        shares = [[result.scores[str(name)] for name in self.classes_] for result in results]
        return np.array(shares).reshape(-1, len(self.classes_))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each item, `(items,)`."""
        best = self.predict_proba(X).argmax(axis=1)
        answers: np.ndarray = self.classes_[best]
        return answers

    def _described(self, classes: np.ndarray) -> dict[str, Any]:
        """The classes with their descriptions, in the form that `predict` accepts; "" for none."""
        return {str(name): (self.descriptions or {}).get(str(name), "") for name in classes}

    def __sklearn_tags__(self) -> Tags:
        """The input that the classifier accepts: texts or a table, no numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags


def _check_shots(shots: Any) -> None:
    """Raise InputError unless `shots` is None or a whole number of at least 0."""
    is_number = isinstance(shots, Integral) and not isinstance(shots, bool)
    if shots is not None and not (is_number and shots >= 0):
        raise InputError(f"shots must be a whole number of at least 0, or None for all examples; given {shots!r:.40}")


def _columns_of(X: Any) -> dict[str, list[Any]]:
    """The inputs by modality, each a list with one entry per item."""
    if hasattr(X, "columns"):
        names = [name for name in MODALITIES if name in X.columns]
        if not names:
            raise InputError(
                f"X needs any of the columns text, audio and video; it has {', '.join(map(str, X.columns))}"
            )
        table = X[names].astype(object)
        return {name: table[name].where(table[name].notna(), None).tolist() for name in names}
    if isinstance(X, str) or (not isinstance(X, Sequence | np.ndarray) and not hasattr(X, "to_list")):
        raise InputError(f"X is a table, or a list of texts; given {type(X).__name__}")
    texts = X.to_list() if hasattr(X, "to_list") else list(X)
    wrong = next((text for text in texts if text is not None and not isinstance(text, str)), None)
    if wrong is not None:
        raise InputError(f"X is a table with text, audio or video, or a list of texts; given {wrong!r:.40}")
    return {"text": texts}


def _name_of(label: Any) -> str:
    if not isinstance(label, str):
        raise InputError(f"a class is the name of an emotion; given {label!r:.40}")
    return label
