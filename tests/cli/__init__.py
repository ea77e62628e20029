"""The command line: the doctor, run, url and keys."""
