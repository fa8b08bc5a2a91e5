"""The whole house on one machine: installs what is missing, starts the processes, keeps and stops them."""
