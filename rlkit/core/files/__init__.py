"""Reading and writing: nothing half-written, nothing believed, no code of a file's choice."""
