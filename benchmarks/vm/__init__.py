"""A Debian 12 under QEMU: what a container cannot have, a kernel of its own with a sound card, and a power cut."""
