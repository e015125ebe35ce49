# The disks that the kernel has; volumes are sda and so on.
# Prints: /proc/partitions as it is.
cat /proc/partitions
