"""What the commands do, as plain functions that a library user can call. Nothing here prints, prompts or exits."""
