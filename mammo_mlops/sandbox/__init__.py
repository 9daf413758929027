"""AWS on 127.0.0.1, for one laptop."""
