"""Which rows, sequences or segments a minibatch holds."""
