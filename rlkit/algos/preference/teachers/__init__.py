"""Who answers: synthetic teachers, judges, ranked factors, several users."""
