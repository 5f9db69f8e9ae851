"""The web process: gunicorn is the master, waitress reads requests and answers them."""
