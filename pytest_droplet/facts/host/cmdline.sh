# The arguments that the running kernel was booted with.
# Prints: /proc/cmdline as it is.
cat /proc/cmdline
