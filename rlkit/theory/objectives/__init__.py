"""Objectives beyond one expected return: occupancies, automata, temporal logic, separations."""
