"""What preference-based algorithms share: teachers, links, reward models, queries."""
