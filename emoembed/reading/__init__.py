"""Text, sound and faces to what an encoder reads; rows of a corpus."""
