"""Emotion names to label vectors, which every modality shares."""
