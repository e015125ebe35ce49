# The state of Ubuntu Pro, as its client left it: "pro status" may go to the network.
# Prints: the file as it is; {} where there is none.
status=/var/lib/ubuntu-advantage/status.json
if [ -e "$status" ]; then
    read_capped "$status"
else
    explain_absence "$status" && echo '{}'
fi
