"""Train the context of dialogues, in two steps: the modalities as usual, then the context on the points of their turns.

The points of training turns come from encoders that were trained without them (`cross_fit`), so each modality is
trained several times.
"""
