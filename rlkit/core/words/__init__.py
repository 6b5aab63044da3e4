"""What is said to people: ranges of settings, the nearest name, other libraries' words, extras."""
