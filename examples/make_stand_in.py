"""Write a synthetic stand-in for CMU-MOSEI or IEMOCAP in one of their published file forms, to try the commands.

    python examples/make_stand_in.py mosei --form csd --output stand-in/mosei
    python examples/make_stand_in.py iemocap --form nine-class --output stand-in/iemocap

Words and their vectors come from the shipped checkpoint. Results on a stand-in show that the software works; they say
nothing about accuracy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from emoembed.corpora import stand_in
from emoembed.labels.emotion import table
from emoembed.model import checkpoint


def main() -> None:
    """Write the stand-in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=("mosei", "iemocap"))
    parser.add_argument("--form", required=True, help=f"{stand_in.MOSEI_FORMS} or {stand_in.IEMOCAP_FORMS}")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--size", type=int, help="number of videos (mosei) or of dialogues per session (iemocap)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shuffled", action="store_true", help="permute the word vectors of the emotions")
    parsed = parser.parse_args()
    words = checkpoint.read_word_table()
    vocabulary = [w for label in table().values() for w in (label.name, *label.synonyms) if w in words]
    options = {"form": parsed.form, "seed": parsed.seed, "shuffled": parsed.shuffled}
    if parsed.corpus == "mosei":
        stand_in.write_mosei(parsed.output, words, vocabulary, **options, size=(parsed.size or 24, 6))
    else:
        stand_in.write_iemocap(parsed.output, words, vocabulary, **options, size=(parsed.size or 2, 18))
    print(f"{parsed.corpus}, form {parsed.form} -> {parsed.output}")


if __name__ == "__main__":
    main()
