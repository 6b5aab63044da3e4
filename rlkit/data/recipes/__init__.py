"""Recipes: datasets that rlkit can make by itself, described by the JSON cards in this folder."""
