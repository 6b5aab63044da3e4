"""Acting in environments while a training learns: steps, curricula, memories, bonuses."""
