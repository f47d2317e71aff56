"""An emotion name to vectors: what names mean, as numbers shared by every modality."""
