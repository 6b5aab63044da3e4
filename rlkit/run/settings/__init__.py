"""What a training is: options, presets, which algorithm fits what, and the plan that settles it."""
