"""Sound: from the microphone or a file to utterances, and from sounds to the speaker."""
