"""A paper account that is stopped or killed in the middle goes on as if it had not been."""
