"""What holds when everything goes wrong: whole runs against hostile hosts, APIs and projects."""
