"""Slates of items: a variational model of clicks and Thompson sampling within the slate."""
