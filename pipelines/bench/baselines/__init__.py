"""What a user would take instead, each as a script that needs nothing of this project."""
