"""What imitation shares: a discriminator, its losses, and a state for the end of episodes."""
