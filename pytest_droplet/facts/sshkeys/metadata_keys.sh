# The public keys that the Droplet was created with, as the metadata service lists them.
# Prints: a key a line, an empty line or none, and end.
ask_metadata public-keys && echo && echo end
