"""Write a stand-in for CMU-MOSEI or IEMOCAP, in a file form people have, to try the commands on.

    python examples/make_stand_in.py mosei --form csd --output stand-in/mosei
    python examples/make_stand_in.py iemocap --form nine-class --output stand-in/iemocap

The words and their vectors are those of the checkpoint that ships. What is measured on it checks the machinery and
says nothing of accuracy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from emoembed.corpora import stand_in
from emoembed.labels.emotion import table
from emoembed.model import checkpoint


def main() -> None:
    """Write one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=("mosei", "iemocap"))
    parser.add_argument("--form", required=True, help=f"{stand_in.MOSEI_FORMS} or {stand_in.IEMOCAP_FORMS}")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--size", type=int, help="videos of the one, dialogues a session of the other")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shuffled", action="store_true", help="deal the emotions' word vectors out anew")
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
