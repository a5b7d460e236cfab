"""What the user touches: compile, run, evaluate, report, command line."""
