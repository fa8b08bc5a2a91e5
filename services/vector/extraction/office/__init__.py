"""What files of office programs have in common, for the readers in formats."""
