"""The key desk as a program of its own: the desk of one owner behind HTTPS, for one room."""
