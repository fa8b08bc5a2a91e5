"""The check of what is kept: a program that asks the vector service to compare, to mend and to purge."""
