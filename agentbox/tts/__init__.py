"""The mouth: words in, sound out."""
