"""Who may come in from the network: pairing codes, paired devices and their tokens, and the box's own certificate."""
