"""Pre-train the context of dialogues on dialogues without labels (TL-ERC, Hazarika et al. 2019)."""
